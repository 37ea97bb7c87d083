#!/bin/sh
# Runs one fuzz target: fuzz.sh TIME PACKAGE TARGET. Ends with 255, at which xargs stops, when it finds something.
time=$1 pkg=$2 target=$3
for try in 1 2 3; do
  out=$(go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" -fuzzminimizetime 1s -parallel 1 "$pkg" 2>&1) && {
    echo "fuzz $pkg $target: $(echo "$out" | grep -o 'execs: [0-9]*' | tail -1)"
    exit 0
  }
  # Package testing sometimes takes the end of the time for a failure (golang/go issue 75804): nothing was found then.
  case $out in
  *'Failing input written'* | *panic*) break ;;
  *'context deadline exceeded'*) ;;
  *) break ;;
  esac
done
echo "fuzz $pkg $target: FAILED"
echo "$out"
exit 255
