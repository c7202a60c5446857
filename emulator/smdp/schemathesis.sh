#!/bin/sh
# Holds the management API against its own OpenAPI document with schemathesis (pip install schemathesis):
#
#     cargo build --release && emulator/smdp/schemathesis.sh [-n 200 --seed 1 ...]
#
# It starts a server of its own on free ports and takes it down again. What is given goes to `schemathesis run`.
# /events is left out: it is a stream that does not end.
set -eu

esimlab=${ESIMLAB:-target/release/esimlab}
folder=$(mktemp -d)
printf '[[order]]\nprofile = "operator-a"\nmatching-id = "A"\n' > "$folder/smdp.toml"
"$esimlab" smdp --config "$folder/smdp.toml" --listen 127.0.0.1:0 --control "$folder/control.json" > "$folder/log" &
server=$!
trap 'kill "$server"; wait "$server" || true; rm -r "$folder"' EXIT
until [ -s "$folder/control.json" ]; do
    kill -0 "$server"
    sleep 0.1
done
member() { python3 -c "import json, sys; print(json.load(open(sys.argv[1]))[sys.argv[2]])" "$folder/control.json" "$1"; }

schemathesis run "$(member url)/openapi.json" \
    --header "Authorization: Bearer $(member token)" --exclude-path /events "$@"
