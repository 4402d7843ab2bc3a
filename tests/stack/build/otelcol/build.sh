#!/bin/sh
# build.sh OUTPUT   builds OUTPUT/otelcol as collector/otelcol/builder.yaml says, with the builder of the same version. Needs Go 1.25 or later.
set -eu
output=$1
manifest=$(cd "$(dirname "$0")/../../../../collector/otelcol" && pwd)/builder.yaml
version=$(sed -n 's/^ *version: *//p' "$manifest" | head -n 1)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
export CGO_ENABLED=0 GOFLAGS="${GOFLAGS:--buildvcs=false}"
GOBIN="$scratch" go install "go.opentelemetry.io/collector/cmd/builder@v$version"
# The manifest's own place for the output is relative to the working directory.
./builder --config "$manifest"
find . -type f -name otelcol -exec mv {} "$output/otelcol" \;
test -x "$output/otelcol"
