# Sourced by the scripts beside it: installs what is missing, and says so. Bash.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$root"

say() { printf '==> %s\n' "$*" >&2; }

stop() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

as_root() {
    if [[ $(id -u) == 0 ]]; then
        "$@"
    elif have sudo; then
        sudo "$@"
    else
        stop "neither root nor sudo: cannot run: $*"
    fi
}

# --- Packages -------------------------------------------------------------------------------------

apt_updated=no

apt_install() {
    say "installing with apt-get: $*"
    if [[ $apt_updated == no ]]; then
        as_root apt-get -qq update
        apt_updated=yes
    fi
    without_services as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get -qq -y --no-install-recommends install "$@" </dev/null >&2
}

# Keeps Debian's packages from starting servers: only their programs are needed.
without_services() (
    policy=/usr/sbin/policy-rc.d
    if [[ ! -e $policy ]]; then
        trap 'as_root rm -f "$policy"' EXIT
        printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
        as_root chmod 755 "$policy"
    fi
    "$@"
)

# Debian's server package makes a cluster of its own unless it is told otherwise beforehand.
apt_install_postgres() {
    apt_install postgresql-common
    without_cluster apt_install postgresql
}

without_cluster() (
    conf=/etc/postgresql-common/createcluster.conf
    kept=$(mktemp)
    cat "$conf" >"$kept"
    trap 'as_root tee "$conf" <"$kept" >/dev/null; rm -f "$kept"' EXIT
    echo 'create_main_cluster = false' | as_root tee -a "$conf" >/dev/null
    "$@"
)

install_postgres() {
    say "no PostgreSQL server and client with initdb, postgres, psql and pg_dump was found"
    if have apt-get; then
        apt_install_postgres
    elif have dnf; then
        say "installing with dnf: postgresql-server postgresql postgresql-contrib"
        as_root dnf -q -y install postgresql-server postgresql postgresql-contrib
    elif have brew; then
        say "installing with brew: postgresql@17"
        brew install --quiet postgresql@17
    else
        stop "install PostgreSQL 13 or newer, server and client, and run this again"
    fi
}

# --- What each script needs -----------------------------------------------------------------------

setup_rust() {
    if ! have cargo && [[ -r ${CARGO_HOME:-$HOME/.cargo}/env ]]; then
        # shellcheck disable=SC1091
        source "${CARGO_HOME:-$HOME/.cargo}/env"
    fi
    have cargo || stop "cargo is not installed: see https://rustup.rs, then run this again"
    have cc && return
    if have apt-get; then
        apt_install gcc libc6-dev
    elif have dnf; then
        say "installing with dnf: gcc"
        as_root dnf -q -y install gcc
    else
        stop "there is no C compiler; on macOS: xcode-select --install"
    fi
}

setup_lints() {
    setup_rust
    local component
    for component in fmt clippy; do
        cargo "$component" --version >/dev/null 2>&1 && continue
        have rustup || stop "cargo $component is not installed"
        say "installing with rustup: $component"
        rustup component add "${component/#fmt/rustfmt}"
    done
}

# The places where the binary looks, too; the newest server first.
server_bindir() {
    local dir
    for dir in ${MARKENMATE_PG_BINDIR:-} ${PATH//:/ } \
        $(ls -d /usr/lib/postgresql/*/bin /usr/pgsql-*/bin /opt/homebrew/opt/postgresql@*/bin \
            /usr/local/opt/postgresql@*/bin /Applications/Postgres.app/Contents/Versions/*/bin \
            2>/dev/null | sort -rV); do
        if [[ -x $dir/initdb && -x $dir/postgres ]]; then
            echo "$dir"
            return
        fi
    done
}

setup_postgres() {
    local bindir
    bindir=$(server_bindir)
    [[ -n $bindir ]] && PATH=$bindir:$PATH
    if [[ -z $bindir ]] || ! have psql || ! have pg_dump; then
        install_postgres
        bindir=$(server_bindir)
        [[ -n $bindir ]] || stop "PostgreSQL was installed, but initdb and postgres are not to be found"
    fi
    # Homebrew and Debian keep some of the programs off the path.
    export PATH=$bindir:$PATH
}

# What some tests need besides: the pooler, certificates, encryption, a scheduler in the database, and what reads
# metrics and alerts.
setup_test_programs() {
    local missing=()
    have pgbouncer || [[ -x /usr/sbin/pgbouncer ]] || missing+=(pgbouncer)
    have openssl || missing+=(openssl)
    have age || missing+=(age)
    # Its package has promtool.
    have promtool || missing+=(prometheus)
    if have apt-get && ! compgen -G '/usr/lib/postgresql/*/lib/pg_cron.so' >/dev/null; then
        missing+=("postgresql-$(postgres --version | sed 's/[^0-9]*\([0-9]*\).*/\1/')-cron")
    fi
    if [[ ${#missing[@]} -gt 0 ]]; then
        if have apt-get; then
            apt_install "${missing[@]}"
            # Their services would start with the machine.
            local service
            for service in pgbouncer prometheus; do
                if [[ " ${missing[*]} " == *" $service "* ]] && have systemctl; then
                    as_root systemctl disable "$service" >/dev/null 2>&1 || true
                fi
            done
        else
            say "not installed: ${missing[*]}. The tests of poolers (pgbouncer), TLS (openssl), encryption (age) and metrics (promtool) need them"
        fi
    fi
    # A reader of what `cleanup --export` writes. Kept in target/python.
    if ! PYTHONPATH=$root/target/python python3 -c 'import duckdb' 2>/dev/null; then
        say "fetching duckdb for Python"
        python3 -m pip --version >/dev/null 2>&1 || ! have apt-get || apt_install python3-pip
        python3 -m pip install --quiet --root-user-action ignore --target "$root/target/python" duckdb >&2 ||
            say "not installed: duckdb for Python. The test of exported files needs it"
    fi
    # Debian keeps pgbouncer where only root looks.
    export PATH=$PATH:/usr/sbin
}
