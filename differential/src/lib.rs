//! Random sequences of AIO calls, run once on the kernel and once on uaio; what a program could notice is compared.
//!
//! A sequence is a [`plan::Plan`], made from a seed. A [`world::World`] performs it, in a process of its own, with the
//! calls of one [`calls::Side`], and writes a [`record::Record`]. Two records that differ are a fault of ours, a decided
//! difference (then it is in [`differences`]), or a sequence whose outcome AIO leaves open (then the world must not
//! perform it: see [`world::guard`]).

pub mod calls;
pub mod child;
pub mod differences;
pub mod generate;
pub mod plan;
pub mod record;
pub mod run;
pub mod show;
pub mod shrink;
pub mod sys;
pub mod world;
