skeleton
unpack $(closure python3-minimal libpython3-stdlib python3-uvicorn curl ca-certificates)
ln -sf python3 "$root/usr/bin/python"
# What the tests of Python's own library need.
rm -rf "$root"/usr/lib/python3*/test "$root"/usr/lib/python3*/ensurepip "$root"/usr/lib/python3*/idlelib
