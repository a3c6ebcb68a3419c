#!/usr/bin/env bash
# enqueue ID FUNCTION JSON-ARGUMENTS | result ID: a client on the command line.
set -eu

ask() {
    "${PSQL:-psql}" -qAtX -v ON_ERROR_STOP=1 -v id="$1" -v name="${2:-}" -v args="${3:-}" "$PYENGINE_DATABASE_URL"
}

verb=$1
shift
if [ "$verb" = enqueue ]; then
    ask "$@" <<<"select pyengine.enqueue_workflow(workflow_name => :'name', queue_name => 'languages', workflow_id => :'id',
        positional_args => array(select json_array_elements(:'args')))"
else
    ask "$@" <<<"select pyengine.get_workflow_result(:'id')"
fi
