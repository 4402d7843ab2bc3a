#!/bin/sh
# build.sh OUTPUT   unpacks Elasticsearch's server from Maven Central into OUTPUT and adds the plugin. Needs a JDK 17 or later, and Maven.
set -eu
output=$1
cd "$(dirname "$0")"
version=$(sed -n 's|.*<es.version>\(.*\)</es.version>.*|\1|p' pom.xml)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

mvn -q -B -f pom.xml -DbuildDirectory="$scratch" dependency:unpack
mv "$scratch/elasticsearch-$version"/* "$output"

plugin=$output/plugins/root-endpoint
mkdir -p "$plugin" "$scratch/classes"
javac --release 17 -nowarn -cp "$output/lib/*" -d "$scratch/classes" src/RootPlugin.java
jar --create --file "$plugin/root-endpoint.jar" -C "$scratch/classes" .
cat >"$plugin/plugin-descriptor.properties" <<P
name=root-endpoint
description=what the stripped distribution lacks
version=1
classname=RootPlugin
java.version=17
elasticsearch.version=$version
P
chmod +x "$output"/bin/*
chmod -R a+rX "$output"  # as root, the node runs as somebody else
