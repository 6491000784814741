#!/bin/sh
# Starts the gateway, and again on the same boot of the machine when it has died. A machine of Fly is booted again when its
# main process ends, and a death with a new boot counts against no deployment (docs/deployments.md).
#   keep-running.sh COMMAND [ARGUMENT]...
# Ends with the command's exit code when it ended by itself (0: it was idle, 2: a setting is wrong) or was asked to; and, so
# that Fly sees it, after 20 deaths within 10 minutes. After a 0 the machine stays stopped until the next request.
stopping=
child=
stop() {
  stopping=1
  [ -z "$child" ] || kill -s "$1" "$child" 2>/dev/null
}
trap 'stop TERM' TERM
trap 'stop INT' INT

deaths=0
since=$(date +%s)
while :; do
  "$@" &
  child=$!
  wait "$child"
  code=$?
  # A signal to us interrupts the wait: the command still runs, or has ended meanwhile.
  while kill -0 "$child" 2>/dev/null; do
    wait "$child"
    code=$?
  done
  [ -n "$stopping" ] && exit "$code"
  case $code in 0 | 2) exit "$code" ;; esac

  now=$(date +%s)
  [ $((now - since)) -lt 600 ] || { deaths=0 since=$now; }
  deaths=$((deaths + 1))
  [ "$deaths" -lt 20 ] || exit "$code"
  echo "gateway ended with $code; it is started again" >&2
  sleep 1
done
