# Sourced by the scripts beside it: afterwards the working folder is the project's root, and $python is the
# Python of .venv, in which everything is installed that pyproject.toml asks for. Nothing else is touched.
#
# COMIND_PYTHON        the Python (3.11 or newer) that makes .venv; default: the first one found
# COMIND_TORCH         what to install where torch is missing; default: torch==2.13.0, else any torch
# COMIND_TORCH_INDEX   where torch comes from, e.g. https://download.pytorch.org/whl/cpu; default: pip's own

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv=$root/.venv
python=$venv/bin/python
cd "$root"

# What .venv was made from. The root belongs to it, since a folder that was moved or copied has a .venv that
# still runs the code in the old one.
wanted=$(printf '%s\n' "$root" && cat pyproject.toml)
stamp=$venv/.made-from

say() { printf '==> %s\n' "$*" >&2; }

is_recent() { "$1" -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

find_python() {
    local candidate candidates=(python3 python3.14 python3.13 python3.12 python3.11)
    if [[ -n ${COMIND_PYTHON:-} ]]; then candidates=("$COMIND_PYTHON"); fi
    for candidate in "${candidates[@]}"; do
        if is_recent "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    say "no Python 3.11 or newer with pip found: name one in COMIND_PYTHON"
    return 1
}

quietly() { # command...: says nothing unless it fails
    local output
    output=$("$@" 2>&1) || { printf '%s\n' "$output" >&2 && return 1; }
}

install() { quietly "$python" -m pip --disable-pip-version-check install --quiet "$@"; }

make_venv() {
    say "making .venv with $base"
    if ! "$base" -m venv --clear "$venv" >/dev/null 2>&1; then
        # Distributions that split ensurepip off: let the pip outside install the one inside.
        quietly "$base" -m venv --clear --without-pip "$venv" &&
            quietly "$base" -m pip --python "$python" install --quiet pip || return
    fi
    printf '%s\n' "$root" >"$stamp"
}

install_torch() {
    say "installing ${COMIND_TORCH:-torch} (minutes, where it must be downloaded)"
    # shellcheck disable=SC2086  # two words or none
    local from=${COMIND_TORCH_INDEX:+--index-url $COMIND_TORCH_INDEX}
    if install $from "${COMIND_TORCH:-torch==2.13.0}"; then
        return
    elif [[ -z ${COMIND_TORCH:-} ]]; then
        say "torch 2.13.0 is not to be had for this platform: taking the newest that is"
        install $from torch
    else
        return 1
    fi
}

is_prepared() { [[ -f $stamp && $(<"$stamp") == "$wanted" ]]; }

prepare() {
    local made_in=$root
    if [[ -f $stamp ]]; then made_in=$(head -n 1 "$stamp"); fi
    if [[ $made_in != "$root" ]] || ! is_recent "$python"; then make_venv || return; fi
    # Torch comes first and by itself, so that no other package's requirement chooses its build.
    if ! "$python" -c 'import importlib.metadata as m; m.version("torch")' 2>/dev/null; then
        install_torch || return
    fi
    say "installing comind and its tools into .venv"
    install -e '.[demo,test,dev]' && printf '%s\n' "$wanted" >"$stamp"
}

if ! is_prepared; then
    # The lock belongs to the open file that this shell shares with the Python that takes it, and ends with it.
    base=$(find_python) || exit 1
    exec 9<"${BASH_SOURCE[0]}"
    "$base" -c 'import fcntl; fcntl.flock(9, fcntl.LOCK_EX)'
    if ! is_prepared && ! prepare; then
        say ".venv could not be prepared: see above; the next run tries again"
        exit 1
    fi
    exec 9<&-
fi
