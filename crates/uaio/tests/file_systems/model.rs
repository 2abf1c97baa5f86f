//! What the file should hold: plain memory, and the same done to it one after the other.

/// Bytes of a file, or of a device, whose length is fixed.
pub struct Model {
    pub bytes: Vec<u8>,
    pub is_device: bool,
}

impl Model {
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// What a read gives.
    pub fn read(&self, offset: usize, len: usize) -> &[u8] {
        let end = (offset + len).min(self.len());
        &self.bytes[offset.min(end)..end]
    }

    pub fn write(&mut self, offset: usize, data: &[u8]) {
        let end = offset + data.len();
        if end > self.len() {
            self.bytes.resize(end, 0);
        }
        self.bytes[offset..end].copy_from_slice(data);
    }

    pub fn set_len(&mut self, len: usize) {
        self.bytes.resize(len, 0);
    }

    pub fn zero(&mut self, offset: usize, len: usize) {
        let end = (offset + len).min(self.len());
        self.bytes[offset.min(end)..end].fill(0);
    }
}
