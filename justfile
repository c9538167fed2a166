# One recipe for every stage of .ci/run.

# all of them
ci:
    .ci/run

fmt:
    scripts/test.sh fmt

lint:
    scripts/test.sh lint

doc:
    scripts/test.sh doc

test:
    scripts/test.sh tests

examples:
    scripts/test.sh examples

python:
    scripts/test.sh python

deny:
    scripts/test.sh deny

wasm:
    scripts/test.sh wasm

# not one of CI's: an hour each is `scripts/fuzz.sh`
fuzz:
    scripts/test.sh fuzz
