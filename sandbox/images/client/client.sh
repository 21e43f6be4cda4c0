#!/bin/sh
# Asks the server at $SERVER_IP every two seconds and writes what it said to /var/log/app/client.log.
mkdir -p /var/log/app
trap 'exit 0' TERM INT
while true; do
  if answer=$(wget -q -T 2 -O - "http://$SERVER_IP/" 2>&1); then
    line="$(date +%T) $answer"
  else
    line="$(date +%T) no answer from $SERVER_IP"
  fi
  echo "$line" | tee -a /var/log/app/client.log
  sleep 2 &
  wait $!
done
