#!/usr/bin/env bash
# Type the README's commands in new, minimal Debians, and print how long each took.
#
#   sudo -E tests/fresh_machine.sh [--demo-only] [SUITE:USER...]
#
# SUITE is a Debian release, USER is `user` or `root`; by default Debian 13 (Python 3.13) and sid (Python 3.14), as both.
# Needs debootstrap, 3 GB in /var/tmp, and about 20 minutes for each; 5 with --demo-only, which leaves `make test` out.
# What is tested is the last commit. Variables for pip, uv and proxies are passed on, and so are this machine's own CA
# certificates: nothing else of it is seen, but the network. Whatever happens, mounts and processes do not outlive it.
set -euo pipefail

project=$(cd "$(dirname "$0")/.." && pwd)
targets=(demo test)
[ "${1-}" != --demo-only ] || { targets=(demo); shift; }
runs=("$@")
[ $# -gt 0 ] || runs=(trixie:user trixie:root sid:user sid:root)
for run in "${runs[@]}"; do
    [[ $run =~ ^[a-z]+:(user|root)$ ]] || { echo "SUITE:user or SUITE:root is expected, not $run"; exit 2; }
done
[ "$(id -u)" = 0 ] || { echo "Only root may make a root file system: sudo -E $0 $*"; exit 2; }
command -v debootstrap >/dev/null || { echo "Debootstrap is needed: apt install debootstrap"; exit 2; }

work=$(mktemp --directory --tmpdir=/var/tmp fresh-machine.XXXXXX)
chmod 755 "$work"
trap 'rm -rf --one-file-system "$work"' EXIT
trap 'exit 130' INT TERM

# Run a command where neither its mounts nor its processes outlive it.
contained() {
    unshare --mount --pid --fork --kill-child -- "$@"
}

# Run a command in $root as a user, with nothing of this machine's environment but what `environment` has; meanwhile
# write every two seconds to $root/memory how many kB its processes have in memory, each shared page counted once.
in_root() {
    contained bash -c '
        root=$1 user=$2
        mount -t proc proc "$root/proc" && mount -t sysfs -o ro sys "$root/sys" && mount --rbind /dev "$root/dev" || exit
        while sleep 2; do
            cat "$root"/proc/[0-9]*/smaps_rollup 2>/dev/null | awk "/^Pss:/ {sum += \$2} END {print sum}" >>"$root/memory"
        done &
        chroot --userspec="$user:" "$root" /usr/bin/env -i "${@:3}"
        exit # or bash would let chroot take its place, as the process that everybody left behind falls to
    ' in_root "$root" "$1" "${environment[@]}" HOME="$(home_of "$1")" USER="$1" "${@:2}"
}

home_of() {
    if [ "$1" = root ]; then echo /root; else echo "/home/$1"; fi
}

# Fill `environment`. A variable that names a file gets a copy of that file; one that names a folder is left out.
pass_on_environment() {
    environment=(PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 TERM="${TERM:-dumb}")
    local name value
    for name in $(compgen -e | grep -iE '^(PIP|UV)_|^(https?|all|no)_proxy$|^SSL_CERT_'); do
        value=${!name}
        if [ -f "$value" ]; then
            install -D --mode=644 "$value" "$root$value"
        elif [ -e "$value" ]; then
            continue
        fi
        environment+=("$name=$value")
    done
}

make_root() { # SUITE
    echo "== Debian $1: a minimal root"
    contained debootstrap --variant=minbase "$1" "$root" >"$root.log" 2>&1 || { tail "$root.log"; exit 1; }
    cp /etc/resolv.conf /etc/hosts "$root/etc/"
    environment=(PATH="$PATH" DEBIAN_FRONTEND=noninteractive)
    pass_on_environment
    # A mirror that lags behind, as sid's may, does not matter here.
    in_root root sh -c 'apt-get -o Acquire::Check-Valid-Until=false update && apt-get install --yes --no-install-recommends git make python3 python3-venv &&
        useradd --create-home user' >"$root.log" 2>&1 || { tail "$root.log"; exit 1; }
    if [ -n "$(ls /usr/local/share/ca-certificates)" ]; then
        cp /usr/local/share/ca-certificates/* "$root/usr/local/share/ca-certificates/"
        in_root root update-ca-certificates >/dev/null 2>&1
    fi
    pass_on_environment # again, since Debian's package of certificates may have replaced a file
    git -c safe.directory="$project" -C "$project" bundle create --quiet "$root/project.bundle" HEAD
}

try() { # SUITE USER
    local home started status=passed target
    home=$(home_of "$2")
    in_root "$2" git -c init.defaultBranch=main -c advice.detachedHead=false clone --quiet /project.bundle "$home/project"
    for target in "${targets[@]}"; do
        echo "== Debian $1, $(in_root root python3 --version), as $2: make $target"
        : >"$root/memory"
        started=$SECONDS
        in_root "$2" make -C "$home/project" --no-print-directory "$target" || { status=FAILED failed=yes; }
        summary+="$(printf '%-7s %-5s make %-5s %5d s  %s, at most %d MB of memory, %d MB of disk' "$1" "$2" "$target" \
            $((SECONDS - started)) "$status" "$(($(sort -n "$root/memory" | tail -n 1) / 1000))" \
            "$(du -sm --total "$root$home" | tail -n 1 | cut -f 1)")"$'\n'
    done
}

summary='' failed=''
for run in "${runs[@]}"; do
    root=$work/${run%:*}
    [ -d "$root" ] || make_root "${run%:*}"
    try "${run%:*}" "${run#*:}"
done
echo
printf %s "$summary"
[ -z "$failed" ]
