#!/usr/bin/env bash
# running, success or failed, of a job of Grid Engine. A job that has ended is in the accounts some seconds later.
if qstat -j "$1" > /dev/null 2>&1; then
  echo running
else
  qacct -j "$1" 2> /dev/null | awk '/^(failed|exit_status) / {found = 1; bad += $2} END {print found ? (bad ? "failed" : "success") : "running"}'
fi
