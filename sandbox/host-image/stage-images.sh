#!/bin/sh
# Runs inside the lab host's root filesystem while it is built (mmdebstrap hook or Dockerfile RUN).
# Makes the root filesystems of the images that lessons name from Debian packages:
# /usr/share/patchbay/images/<name>.tar, ready for `docker import`.
set -eu

staging=$(mktemp -d)
trap 'rm -rf "$staging"' EXIT
images=/usr/share/patchbay/images
mkdir -p "$images"

# Unpacks packages without running their scripts: an image needs files, not a configured system.
unpack() {
  root=$1
  shift
  mkdir -p "$root" "$staging/debs"
  (cd "$staging/debs" && rm -f ./*.deb && apt-get -qq download "$@" && for deb in ./*.deb; do
    dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$root" --keep-directory-symlink
  done)
}

# The layout of a merged /usr, with busybox as every tool and as the shell.
skeleton() {
  root=$1
  mkdir -p "$root/usr/bin" "$root/usr/sbin" "$root/usr/lib" "$root/usr/lib64" \
    "$root/etc" "$root/tmp" "$root/root" "$root/proc" "$root/sys" "$root/dev" "$root/run" "$root/var/log"
  for directory in bin sbin lib lib64; do ln -sfn "usr/$directory" "$root/$directory"; done
  chmod 1777 "$root/tmp"
  printf 'root:x:0:0:root:/root:/bin/sh\nwww-data:x:33:33:www-data:/var/www:/usr/sbin/nologin\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n' >"$root/etc/passwd"
  printf 'root:x:0:\nadm:x:4:\nwww-data:x:33:\nnogroup:x:65534:\n' >"$root/etc/group"
  printf 'hosts: files dns\n' >"$root/etc/nsswitch.conf"
  unpack "$root" busybox-static
  rm -rf "$root/usr/share/doc" "$root/usr/share/man" "$root/usr/share/initramfs-tools"
  for applet in $("$root/usr/bin/busybox" --list); do
    [ -e "$root/usr/bin/$applet" ] || ln -s busybox "$root/usr/bin/$applet"
  done
}

pack() {
  tar --sort=name --mtime=@0 --numeric-owner -C "$1" -cf "$images/$2.tar" .
}

skeleton "$staging/busybox"
pack "$staging/busybox" busybox

skeleton "$staging/nginx"
unpack "$staging/nginx" nginx nginx-common libc6 libcrypt1 libpcre2-8-0 libssl3t64 zlib1g libzstd1
cd "$staging/nginx"
rm -rf usr/share/doc usr/share/man usr/share/locale usr/share/lintian usr/lib/x86_64-linux-gnu/gconv
mkdir -p var/log/nginx var/lib/nginx etc/nginx/conf.d
# Logs go where `docker logs` finds them.
ln -sf /dev/stdout var/log/nginx/access.log
ln -sf /dev/stderr var/log/nginx/error.log
cat >etc/nginx/nginx.conf <<'CONF'
user www-data;
worker_processes 1;
error_log /var/log/nginx/error.log notice;
pid /run/nginx.pid;
events { worker_connections 512; }
http {
  include /etc/nginx/mime.types;
  access_log /var/log/nginx/access.log;
  sendfile on;
  include /etc/nginx/conf.d/*.conf;
}
CONF
cat >etc/nginx/conf.d/default.conf <<'CONF'
server {
  listen 80;
  server_name localhost;
  location / {
    root /usr/share/nginx/html;
    index index.html;
  }
}
CONF
pack "$staging/nginx" nginx
