#!/bin/bash
# Puts each fault of faults/ into a copy of the repository, and runs the tester until it sees it: is the tester sharp?
# usage: differential/faults.sh [NAME...]; prints a table. FAULT_COUNT: sequences at most (default 4000).
set -u
cd "$(dirname "$0")/.."
here=$PWD
count=${FAULT_COUNT:-4000}
scratch=$(mktemp -d /var/tmp/uaio-faults.XXXXXX)
trap 'rm -rf "$scratch"' EXIT
git ls-files -z | tar --null -T - -cf - | tar -xf - -C "$scratch"
export CARGO_TARGET_DIR=${FAULT_TARGET_DIR:-$scratch/target}

entry() { # file: sets what, file, engine, old, new
  local line part=
  what= file= engine=auto old= new=
  while IFS= read -r line; do
    case $part$line in
      "what: "*) what=${line#what: } ;;
      "file: "*) file=${line#file: } ;;
      "engine: "*) engine=${line#engine: } ;;
      "old:") part=o ;;
      "onew:") part=n ;;
      o*) old+=$line$'\n' ;;
      n*) new+=$line$'\n' ;;
    esac
  done <"$1"
  old=${old%$'\n'} new=${new%$'\n'}
}

try() { # name: puts it in, builds, runs, takes it out
  local whole broken result
  whole=$(cat "$scratch/$file"; echo .)
  broken=${whole/"$old"/"$new"}
  [ "$whole" = "$broken" ] && { echo "does not apply"; return 1; }
  printf %s "${broken%.}" >"$scratch/$file"
  if (cd "$scratch" && cargo build --quiet --locked -p uaio-differential) 2>"$scratch/log"; then
    result=$("$CARGO_TARGET_DIR/debug/uaio-differential" --engine "$engine" --count "$count" --no-shrink 2>/dev/null | tail -1)
    printf %s "${whole%.}" >"$scratch/$file"
    case $result in
      *" 0 differences"*) echo "NOT found in $count"; return 1 ;;
      *" sequences "*) result=${result#*: }; echo "after ${result%% *}" ;;
      *) echo "no result"; return 1 ;;
    esac
  else
    printf %s "${whole%.}" >"$scratch/$file"
    grep -m1 '^error' "$scratch/log"
    return 1
  fi
}

missed=0
echo "| fault | what is wrong | engine | found, in sequences |"
echo "|---|---|---|---|"
for path in "$here"/differential/faults/*; do
  name=$(basename "$path")
  [ $# = 0 ] || [[ " $* " == *" $name "* ]] || continue
  entry "$path"
  found=$(try) || missed=$((missed + 1))
  echo "| $name | $what | $engine | $found |"
done
exit $((missed > 0))
