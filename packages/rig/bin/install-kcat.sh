#!/bin/sh
# Gets kcat from Debian's or Ubuntu's registry: as a package for root, else as a private copy in .cache/kcat.
# `--private` makes the private copy in any case. Exit status: 0 when kcat is there afterwards, 1 (and why) when not.
set -u

root=$(cd "$(dirname "$0")/../../.." && pwd)
home="$root/.cache/kcat"
log=$(mktemp)
trap 'rm -f "$log"' EXIT

give_up() {
  echo "kcat could not be installed: $1" >&2
  tail -n 5 "$log" >&2
  echo "Tests that use it will be skipped. By hand: apt-get install kcat, brew install kcat" >&2
  exit 1
}

install_package() {
  export DEBIAN_FRONTEND=noninteractive
  apt-get install -y --no-install-recommends kcat >"$log" 2>&1 && return
  # a fresh image has no package lists, or old ones
  apt-get update >"$log" 2>&1 || give_up "apt-get update failed"
  apt-get install -y --no-install-recommends kcat >"$log" 2>&1 || give_up "apt-get install kcat failed"
}

is_installed() {
  dpkg-query -W -f '${db:Status-Status}\n' "$1" 2>/dev/null | grep -q '^installed$'
}

private_copy() {
  rm -rf "$home"
  mkdir -p "$home/lists/partial" "$home/archives/partial" "$home/packages" "$home/bin"
  # package lists of its own, because the system's may only be written by root
  lists="-o Dir::State::lists=$home/lists -o Dir::Cache=$home/archives -o APT::Sandbox::User=$(id -un)"
  # shellcheck disable=SC2086 # one option per word
  apt-get $lists update >"$log" 2>&1 || give_up "apt-get update failed"
  # its own libraries always, others only where the system lacks them
  wanted="kcat librdkafka1 libyajl2"
  # shellcheck disable=SC2086
  for name in $(apt-cache $lists depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks \
    --no-replaces --no-enhances kcat 2>"$log" | grep '^[a-z]'); do
    is_installed "$name" || wanted="$wanted $name"
  done
  # shellcheck disable=SC2046,SC2086
  (cd "$home/packages" && apt-get $lists download $(printf '%s\n' $wanted | sort -u)) >"$log" 2>&1 ||
    give_up "apt-get download failed"
  for package in "$home"/packages/*.deb; do
    dpkg-deb -x "$package" "$home/files" >"$log" 2>&1 || give_up "$package could not be unpacked"
  done
  libraries=$(find "$home/files" -name '*.so*' -exec dirname {} \; | sort -u | tr '\n' ':')
  cat >"$home/bin/kcat" <<END
#!/bin/sh
LD_LIBRARY_PATH="$libraries\${LD_LIBRARY_PATH:-}" exec "$home/files/usr/bin/kcat" "\$@"
END
  chmod +x "$home/bin/kcat"
  rm -rf "$home/lists" "$home/archives" "$home/packages"
  "$home/bin/kcat" -V >"$log" 2>&1 || give_up "the copy in $home does not run"
  echo "kcat: $home/bin/kcat"
}

if [ "${1:-}" != "--private" ]; then
  if command -v kcat >/dev/null; then
    echo "kcat: $(command -v kcat)"
    exit 0
  fi
  if [ -x "$home/bin/kcat" ]; then
    echo "kcat: $home/bin/kcat"
    exit 0
  fi
fi

command -v apt-get >/dev/null || give_up "this system has no apt-get"

if [ "$(id -u)" = 0 ] && [ "${1:-}" != "--private" ]; then
  install_package
  command -v kcat >/dev/null || give_up "the package is there, kcat is not on PATH"
  echo "kcat: $(command -v kcat)"
else
  private_copy
fi
