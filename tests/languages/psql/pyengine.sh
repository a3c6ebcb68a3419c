# shellcheck shell=bash
# A small pyengine SDK in bash and psql, as sql/PROTOCOL.md describes it. To be sourced.
#
# A worker claims one workflow after the other and runs each in a process of its own. The function of a workflow is a
# shell function: `argument` gives it its arguments, it leaves its output, as JSON, in RESULT, and when it returns 1 its
# error is in ERROR. When the run may not go on (PE001, PE002), its process ends.

PSQL=${PSQL:-psql}
FORMAT=portable_json
SEPARATOR=$'\x1f' # JSON never contains it

# One line of JSON: outside of its texts a line break is as good as a space.
flat() { printf "translate((%s)::text, E'\\\\n\\\\r\\\\t', '   ')" "$1"; }

# db SQL [name=value...]: run a statement with psql variables. Its rows are in ROWS; when it fails, its code is in CODE.
# What the loss of the server interrupted is repeated: no call does its work twice.
db() {
    local sql=$1 each attempt
    local -a variables=()
    shift
    for each; do variables+=(-v "$each"); done
    for attempt in 1 2 3 4 5 6; do
        ROWS=$("$PSQL" -qAtX -F "$SEPARATOR" -v ON_ERROR_STOP=1 -v VERBOSITY=sqlstate "${variables[@]}" \
            "$PYENGINE_DATABASE_URL" <<<"$sql" 2>"$WORK/error.$BASHPID") && return 0
        CODE=$(sed -n 's/.*ERROR: *\([0-9A-Z]\{5\}\).*/\1/p' "$WORK/error.$BASHPID" | head -n 1)
        case $CODE in '' | 08* | 53* | 57P* | 40001 | 40P01) sleep "0.$attempt" ;; *) break ;; esac
    done
    return 1
}

# As db, in a run: a code that says that the run may not go on ends its process, another one is an error.
call() {
    db "$@" && return 0
    case $CODE in PE001 | PE002) exit 0 ;; esac
    json_error "$CODE" "a call of the engine failed"
    return 1
}

# The same for the answer of a batch function: nothing, or the refusal of its only item.
accepted() {
    case $ROWS in
        PE001* | PE002*) exit 0 ;;
        PE*) json_error "$ROWS" "the engine refused a request" && return 1 ;;
    esac
}

# json_error NAME MESSAGE: leaves an error, in the form that every language shares, in ERROR.
json_error() {
    db "select json_build_object('name', :'name', 'message', :'message', 'code', null, 'data', null)" "name=$1" "message=$2"
    ERROR=$ROWS
}

# argument N: leaves an argument of the workflow in RESULT, as JSON; null when there is none.
argument() {
    db "select $(flat "coalesce(:'inputs'::json -> 'positionalArgs' -> $1, 'null')")" "inputs=$INPUTS"
    RESULT=$ROWS
}

# text JSON: leaves the text of a JSON string in TEXT; nothing for null.
text() {
    db "select :'value'::json #>> '{}'" "value=$1"
    TEXT=$ROWS
}

# replay STEP NAME: takes the recorded outcome of a step. Returns 2 when there is none, 1 when it is an error.
replay() {
    local name status value
    call "select s.name, (s.error is null)::int, $(flat "coalesce(s.error, s.output, 'null')"), s.child_workflow_id
        from pyengine.list_steps(workflow_id => :'id') s where s.step_id = $1" "id=$ID" || return 1
    [ -n "$ROWS" ] || return 2
    IFS=$SEPARATOR read -r name status value CHILD <<<"$ROWS"
    if [ "$name" != "$2" ]; then
        json_error ChangedCode "step $1 of workflow $ID was $name and is now $2: the code has changed"
        return 1
    fi
    [ "$status" = 1 ] && RESULT=$value && return 0
    ERROR=$value
    return 1
}

# record STEP NAME output|error JSON [CHILD]: a checkpoint.
record() {
    call "select a.refusal from pyengine.record_steps(requests => json_build_array(json_build_object(
            'workflow_id', :'id', 'lease_token', :'token', 'step_id', $1, 'name', :'name', 'serialization', '$FORMAT',
            :'kind', :'value'::json, 'child_workflow_id', nullif(:'child', '')))) a" \
        "id=$ID" "token=$TOKEN" "name=$2" "kind=$3" "value=$4" "child=${5:-}" && accepted
}

# step NAME COMMAND...: run a command as a step, unless its outcome is recorded.
step() {
    local name=$1 number=$((++STEP)) status=0
    shift
    replay "$number" "$name" || status=$?
    [ $status = 2 ] || return $status
    call "select pyengine.check_lease(workflow_id => :'id', lease_token => :'token')" "id=$ID" "token=$TOKEN" || return 1
    if "$@"; then record "$number" "$name" output "$RESULT"; else record "$number" "$name" error "$ERROR" && return 1; fi
}

# durable_sleep MILLISECONDS
durable_sleep() {
    local number=$((++STEP))
    while :; do
        call "select ceil(pyengine.sleep_until(workflow_id => :'id', lease_token => :'token', step_id => $number,
                duration_ms => $1))::int" "id=$ID" "token=$TOKEN" || return 1
        [ "$ROWS" -gt 0 ] || return 0
        sleep "$(printf '0.%03d' $((ROWS < 999 ? ROWS : 999)))"
    done
}

# receipt FUNCTION NAME TIMEOUT_MS ARGUMENTS [name=value...]: a durable wait, which takes two numbers.
receipt() {
    local function=$1 name=$2 timeout=$3 arguments=$4 number=$((STEP + 1)) status=0 is_done
    shift 4
    STEP=$((STEP + 2))
    replay "$number" "$name" || status=$?
    [ $status = 2 ] || return $status
    while :; do
        call "select r.is_done, $(flat "coalesce(r.output, 'null')") from pyengine.$function(workflow_id => :'id',
                lease_token => :'token', step_id => $number, timeout_ms => $timeout, $arguments) r" \
            "id=$ID" "token=$TOKEN" "$@" || return 1
        IFS=$SEPARATOR read -r is_done RESULT <<<"$ROWS"
        [ "$is_done" = f ] || return 0
        sleep 0.1
    done
}

# child NAME ARGUMENTS: start a child with a JSON array of arguments; its id is in CHILD.
child() {
    local number=$((++STEP)) status=0
    replay "$number" "$1" || status=$?
    [ $status = 2 ] || return $status
    CHILD=$ID-$number
    call "select a.refusal from pyengine.start_workflows(requests => json_build_array(json_build_object(
            'workflow_id', :'child', 'name', :'name', 'application_name', :'application', 'serialization', '$FORMAT',
            'inputs', json_build_object('positionalArgs', :'arguments'::json, 'namedArgs', json '{}'),
            'parent_workflow_id', :'id', 'parent_lease_token', :'token', 'parent_step_id', $number, 'step_name', :'name'))) a" \
        "child=$CHILD" "name=$1" "application=$APPLICATION" "arguments=$2" "id=$ID" "token=$TOKEN" && accepted
}

# result WORKFLOW_ID: wait for another workflow; its output is in RESULT.
result() {
    local number=$((++STEP)) status=0 ended outcome
    while :; do
        call "select o.status, $(flat "coalesce(o.error, o.output, 'null')")
            from pyengine.await_workflows(workflow_ids => array[:'other']) o" "other=$1" || return 1
        [ -z "$ROWS" ] || break
        sleep 0.1
        call "select pyengine.check_lease(workflow_id => :'id', lease_token => :'token')" "id=$ID" "token=$TOKEN" || return 1
    done
    IFS=$SEPARATOR read -r ended outcome <<<"$ROWS"
    replay "$number" DBOS.getResult || status=$?
    if [ $status = 2 ]; then record "$number" DBOS.getResult output null "$1" || return 1; fi
    if [ "$ended" = SUCCESS ]; then RESULT=$outcome; else ERROR=$outcome && return 1; fi
}

# send DESTINATION MESSAGE TOPIC
send() {
    local number=$((++STEP)) status=0
    replay "$number" DBOS.send || status=$?
    [ $status = 2 ] || return $status
    call "select a.refusal from pyengine.send_messages(
            messages => json_build_array(json_build_object('destination_id', :'to', 'message', :'message'::json,
                'topic', :'topic', 'serialization', '$FORMAT')),
            step => json_build_object('workflow_id', :'id', 'lease_token', :'token', 'step_id', $number,
                'name', 'DBOS.send', 'serialization', '$FORMAT'),
            sender_id => :'id', sender_token => :'token') a" \
        "id=$ID" "token=$TOKEN" "to=$1" "message=$2" "topic=$3" && accepted
}

# set_event KEY VALUE
set_event() {
    local number=$((++STEP)) status=0
    replay "$number" DBOS.setEvent || status=$?
    [ $status = 2 ] || return $status
    call "select pyengine.set_event(workflow_id => :'id', lease_token => :'token', step_id => $number, key => :'key',
            serialization => '$FORMAT', value => :'value', step_name => 'DBOS.setEvent')" \
        "id=$ID" "token=$TOKEN" "key=$1" "value=$2"
}

# append KEY VALUE [is_end]: a value of a stream, or its end.
append() {
    local number=$((++STEP)) status=0 name=DBOS.writeStream
    [ -z "${3:-}" ] || name=DBOS.closeStream
    replay "$number" "$name" || status=$?
    [ $status = 2 ] || return $status
    call "select a.refusal from pyengine.append_streams(requests => json_build_array(json_build_object(
            'workflow_id', :'id', 'lease_token', :'token', 'step_id', $number, 'step_name', '$name', 'key', :'key',
            'is_end', $([ -z "${3:-}" ] && echo false || echo true), 'serialization', '$FORMAT', 'value', :'value'::json))) a" \
        "id=$ID" "token=$TOKEN" "key=$1" "value=$2" && accepted
}

# run FUNCTION: run the claimed workflow, and record how it ended.
run() {
    local kind=output value
    STEP=$BASE RESULT=null ERROR=
    if "$1"; then value=$RESULT; else kind=error value=$ERROR; fi
    call "select a.refusal from pyengine.finish_workflows(requests => json_build_array(json_build_object(
            'workflow_id', :'id', 'lease_token', :'token', 'serialization', '$FORMAT', :'kind', :'value'::json))) a" \
        "id=$ID" "token=$TOKEN" "kind=$kind" "value=$value"
}

register() {
    db "select pyengine.register_executor(name => :'name', application_name => :'application', application_version => '1',
            version_is_pinned => false, functions => string_to_array(:'functions', ' '), channel => :'channel',
            lease_seconds => $PYENGINE_LEASE_SECONDS)" \
        "name=$PYENGINE_EXECUTOR" "application=$APPLICATION" "functions=$FUNCTIONS" "channel=psql_$$_$RANDOM" || return 1
    EXECUTOR=$ROWS
}

leave() {
    local processes
    processes=$(jobs -p)
    # shellcheck disable=SC2086 # one argument for each
    [ -z "$processes" ] || kill $processes 2>/dev/null
    db "select pyengine.leave_executor(executor_id => $EXECUTOR)"
    exit 0
}

# serve APPLICATION FUNCTION...: run workflows until SIGTERM.
serve() {
    local name
    APPLICATION=$1
    shift
    FUNCTIONS=$*
    WORK=$(mktemp -d)
    trap 'rm -rf "$WORK"' EXIT
    register || return 1
    trap leave TERM
    echo ready
    while :; do
        db "select t.is_alive from pyengine.tick_executor(executor_id => $EXECUTOR,
            heartbeat_seconds => $PYENGINE_LEASE_SECONDS / 4.0) t"
        [ "$ROWS" = t ] || register || continue
        TOKEN=$(cat /proc/sys/kernel/random/uuid)
        db "select c.workflow_id, c.name, c.base_step_id, $(flat c.inputs) from pyengine.claim_workflows(
            executor_id => $EXECUTOR, lease_token => :'token', claim_limit => 1) c" "token=$TOKEN" || continue
        if [ -z "$ROWS" ]; then
            sleep 0.1 & # in the background, so that SIGTERM need not wait for it
            wait $!
            continue
        fi
        IFS=$SEPARATOR read -r ID name BASE INPUTS <<<"$ROWS"
        (
            trap - TERM EXIT
            "${RUN:-run}" "$name"
        ) &
    done
}
