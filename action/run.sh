#!/usr/bin/env bash
# What action.yml runs: finds the command, and becomes it. It has to do with the bash 3.2 that macOS has.
set -euo pipefail

needed_node=24

# An annotation, and the exit code for a wrong configuration.
fail() {
  local message newline=$'\n'
  message=${1//\%/%25}
  message=${message//$newline/%0A}
  printf '::error title=postgres-alteration::%s\n' "$message"
  exit 2
}

# The command that the repository has installed, here or in a folder above; nothing when there is none.
find_installed() {
  local folder=$PWD
  until [ -x "$folder/node_modules/.bin/alteration" ]; do
    if [ "$folder" = / ]; then return; fi
    folder=$(dirname "$folder")
  done
  printf '%s' "$folder/node_modules/.bin/alteration"
}

find_node_major() {
  if command -v node > /dev/null; then
    node --version | sed -e 's/^v//' -e 's/[^0-9].*//'
  else
    printf 0
  fi
}

runner=
if [ -z "$ACTION_VERSION" ]; then
  runner=$(find_installed)
fi

# npm brings what is missing. It only says where: a run under npx would have npm between the signals and the command.
set --
node_major=$(find_node_major)
if [ "${node_major:-0}" -lt "$needed_node" ]; then
  set -- "$@" --package "node@$needed_node"
fi
if [ -z "$runner" ]; then
  set -- "$@" --package "postgres-alteration@${ACTION_VERSION:-latest}"
  runner=alteration
fi
if [ "$#" -gt 0 ]; then
  command -v npx > /dev/null || fail "There is no npm on this runner. Add a step with actions/setup-node before."
  path=$(npm_config_allow_scripts=node npx --yes --loglevel=error "$@" -c 'printf %s "$PATH"') ||
    fail "npm could not install what was asked for: $*"
  export PATH=$path
fi

if [ -n "$ACTION_DB_URL" ]; then
  export DB_URL=$ACTION_DB_URL # in the environment: arguments can be seen by every process of the machine
  unset ALTERATION_DB_URL
fi
export ALTERATION_OUTPUT=github

set -- "${ACTION_COMMAND:-deploy}"
if [ -n "$ACTION_DIR" ]; then
  set -- "$@" --dir "$ACTION_DIR"
fi
set -f # words alone: no file names for a *
for word in $ACTION_ARGS; do
  set -- "$@" "$word"
done
set +f
if [ -n "$ACTION_TARGET" ]; then
  set -- "$@" -- "$ACTION_TARGET"
fi
unset ACTION_COMMAND ACTION_TARGET ACTION_DIR ACTION_DB_URL ACTION_VERSION ACTION_ARGS

exec "$runner" "$@"
