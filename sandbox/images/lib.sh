# What recipes build with. A recipe runs as root in a container of the lab host's root filesystem (Debian 13), with
# $root an empty directory that becomes the image.
set -eu

apt-get -qq update

# What packages depend on, without what only a system under a package manager needs.
unneeded='dpkg|perl.*|libperl.*|debconf.*|cdebconf|adduser|passwd|base-files|base-passwd|init-system-helpers|ucf|sensible-utils|locales.*|libc-l10n|ssl-cert|openssl-provider-legacy|libllvm.*|lsb-base|sysvinit-utils|procps|media-types|python3-pkg-resources|libjs-.*|postgresql-common.*|libcommon-sense-perl|libjson.*perl|libipc-run-perl'
closure() {
  apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces \
    --no-enhances "$@" | grep '^[a-z0-9]' | cut -d: -f1 | grep -vxE "$unneeded" | sort -u
}

# Unpacks packages without running their scripts: an image needs files, not a configured system.
unpack() {
  mkdir -p /tmp/debs
  (cd /tmp/debs && rm -f ./*.deb && apt-get -qq -o APT::Sandbox::User=root download "$@" >/dev/null && for deb in ./*.deb; do
    dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$root" --keep-directory-symlink
  done)
  rm -rf "$root/usr/share/doc" "$root/usr/share/man" "$root/usr/share/locale" "$root/usr/share/lintian" \
    "$root/usr/share/bug" "$root/usr/share/initramfs-tools" "$root"/usr/lib/*/gconv "$root/usr/share/perl5"
}

# The layout of a merged /usr, with busybox as every tool and as the shell.
skeleton() {
  mkdir -p "$root/usr/bin" "$root/usr/sbin" "$root/usr/lib" "$root/usr/lib64" \
    "$root/etc" "$root/tmp" "$root/root" "$root/proc" "$root/sys" "$root/dev" "$root/run" "$root/var/log"
  for directory in bin sbin lib lib64; do ln -sfn "usr/$directory" "$root/$directory"; done
  ln -sfn /run "$root/var/run"
  chmod 1777 "$root/tmp"
  cat >"$root/etc/passwd" <<'PASSWD'
root:x:0:0:root:/root:/bin/sh
www-data:x:33:33:www-data:/var/www:/usr/sbin/nologin
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
PASSWD
  cat >"$root/etc/group" <<'GROUP'
root:x:0:
adm:x:4:
www-data:x:33:
nogroup:x:65534:
GROUP
  printf 'hosts: files dns\n' >"$root/etc/nsswitch.conf"
  unpack busybox-static
  for applet in $("$root/usr/bin/busybox" --list); do
    [ -e "$root/usr/bin/$applet" ] || ln -s busybox "$root/usr/bin/$applet"
  done
}

# A user of the image: name, number, home.
add_user() {
  echo "$1:x:$2:$2:$1:$3:/bin/sh" >>"$root/etc/passwd"
  echo "$1:x:$2:" >>"$root/etc/group"
}

# Installs from PyPI, or from where pip of the machine that builds is told to look, into a virtual environment.
pip_install() {
  environment=$1
  shift
  "$environment/bin/python" -m pip --quiet --no-input --no-cache-dir --disable-pip-version-check \
    install --no-compile --root-user-action ignore "$@" && return
  echo 'pip found no way to a package. Tell it where to look as pip knows it, with PIP_INDEX_URL or in /etc/pip.conf,' \
    'or take an image of a registry instead: see "Add an image" in CONTRIBUTING.md.' >&2
  exit 1
}
