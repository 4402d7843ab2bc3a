#!/bin/sh
# build.sh OUTPUT   builds OUTPUT/filebeat from the Go module proxy, as go.mod and go.sum beside this script pin it. Needs Go 1.24.9 or later.
set -eu
output=$1
cd "$(dirname "$0")"
CGO_ENABLED=0 exec go build -mod=readonly -trimpath -buildvcs=false -ldflags '-s -w' -o "$output/filebeat" .
