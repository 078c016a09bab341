if dpkg-query -W -f "\${Status}" $package 2>/dev/null | grep -q "ok installed"; then
  echo "$package is installed already"
  exit 0
fi
export DEBIAN_FRONTEND=noninteractive
mark="cargo lab setup wrote this while it installed; delete it"
mine=
trap "rm -f \$mine" EXIT
trap "exit 130" HUP INT TERM
# While this file exists, packages start no service.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ] || grep -q "$mark" $policy; then
  mine=$policy
  printf "#!/bin/sh\n# $mark\nexit 101\n" > $policy
  chmod 755 $policy
fi
if [ "$file" ] && [ ! -e $file ]; then
  mine="$mine $file"
  mkdir -p ${file%/*}
  printf "# $mark\n$says\n" > $file
fi
get() {
  apt-get install -y --no-install-recommends -o DPkg::Lock::Timeout=300 $package
}
# A bare machine has no package lists, or old ones.
get 2>/dev/null || { apt-get update; get; }
if [ -d /run/systemd/system ]; then
  for service in $services; do
    if systemctl cat $service >/dev/null 2>&1; then systemctl disable $service; fi
  done
fi
