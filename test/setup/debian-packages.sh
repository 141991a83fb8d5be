# Sourced by run-tests.sh: the servers and tools that the tests start by themselves, from Debian's own archive.

# One line a tool: a program that shows it is there, and its package. Servers stand in folders outside PATH.
required_tools() {
  cat <<'LIST'
pg_dump postgresql-client
pg_ctl postgresql
pgbench postgresql-contrib
mariadbd mariadb-server
mariadb-dump mariadb-client
redis-server redis-server
restic restic
nginx nginx-light
setfattr attr
setfacl acl
sshd openssh-server
ssh openssh-client
git git
wrk wrk
haproxy haproxy
sqlite3 sqlite3
systemd-analyze systemd
strace strace
zsh zsh
LIST
}

tool_is_there() {
  PATH="$PATH:/usr/sbin:/sbin:/usr/local/sbin" command -v "$1" >/dev/null 2>&1 && return 0
  local file
  for file in /usr/lib/postgresql/*/bin/"$1"; do
    [ -x "$file" ] && return 0
  done
  return 1
}

missing_packages() {
  local tool package
  while read -r tool package; do
    tool_is_there "$tool" || printf '%s\n' "$package"
  done < <(required_tools) | sort -u
}

install_debian_packages() {
  local packages
  mapfile -t packages < <(missing_packages)
  [ "${#packages[@]}" -gt 0 ] || return 0
  if ! command -v apt-get >/dev/null 2>&1; then
    printf 'npm test: missing, and there is no apt-get here to install them: %s\n' "${packages[*]}" >&2
    exit 1
  fi
  if [ "$(id -u)" -ne 0 ]; then
    printf 'npm test: the tests need these Debian packages, which only root can install:\n  sudo apt-get install -y --no-install-recommends %s\n' "${packages[*]}" >&2
    exit 1
  fi
  printf '== Debian packages: %s\n' "${packages[*]}"
  # Without this Debian starts each server as it installs it; the tests start their own.
  local policy=/usr/sbin/policy-rc.d made_policy=no status=0
  if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    made_policy=yes
  fi
  apt_install "${packages[@]}" || { apt-get update -q && apt_install "${packages[@]}"; } || status=$?
  [ "$made_policy" = no ] || rm -f "$policy"
  if [ "$status" -ne 0 ]; then
    printf 'npm test: apt-get could not install: %s\n' "${packages[*]}" >&2
    exit 1
  fi
}

apt_install() {
  DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends \
    -o Dpkg::Options::=--force-confold "$@"
}
