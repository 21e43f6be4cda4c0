skeleton
unpack $(closure valkey-server valkey-tools)
add_user valkey 999 /data
cd "$root"
mkdir -p data
chown 999:999 data
for name in server cli; do ln -sf "valkey-$name" "usr/bin/redis-$name"; done
