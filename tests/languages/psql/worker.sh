#!/usr/bin/env bash
# The functions of the conformance suite in shell and psql.
set -u
# shellcheck source=pyengine.sh
source "$(dirname "$0")/pyengine.sh"

conformance_error() { json_error ConformanceError "$1" && return 1; }

visit_place() {
    echo "$1" >>"$PYENGINE_CONFORMANCE_DIR/$ID.log"
    while [ -e "$PYENGINE_CONFORMANCE_DIR/$ID.$1.hold" ]; do sleep 0.05; done
    RESULT="\"$1\""
}

# items JSON: leaves the items of a JSON array in ITEMS, as JSON.
items() {
    db "select $(flat i.value) from json_array_elements(:'value') i" "value=$1"
    ITEMS=()
    [ -z "$ROWS" ] || mapfile -t ITEMS <<<"$ROWS"
}

# array JSON...: leaves a JSON array of them in RESULT.
array() {
    local IFS=,
    RESULT="[$*]"
}

echo_value() { argument 0; }

add() {
    db "select to_json(:'a'::numeric + :'b'::numeric)" "a=$1" "b=$2"
    RESULT=$ROWS
}

total() {
    local number
    argument 0 && items "$RESULT"
    RESULT=0
    for number in "${ITEMS[@]}"; do step add add "$RESULT" "$number" || return 1; done
}

visit() {
    local name
    local -a visited=()
    argument 0 && items "$RESULT"
    for name in "${ITEMS[@]}"; do
        text "$name"
        step "$TEXT" visit_place "$TEXT" || return 1
        visited+=("$RESULT")
    done
    array "${visited[@]}"
}

fail() {
    argument 0 && text "$RESULT" && conformance_error "$TEXT"
}

risk() {
    visit_place risky
    conformance_error "$1"
}

catch() {
    argument 0 && text "$RESULT"
    step risky risk "$TEXT" && return 1
    db "select to_json('caught: ' || (:'error'::json ->> 'message'))" "error=$ERROR"
    local caught=$ROWS
    step after visit_place after || return 1
    RESULT=$caught
}

nap() {
    argument 0 && durable_sleep "$RESULT" || return 1
    RESULT='"awake"'
}

receive() {
    local topic
    argument 0 && text "$RESULT" && topic=$TEXT
    argument 1
    receipt receive_message DBOS.recv "$RESULT" "topic => :'topic'" "topic=$topic"
}

post() {
    local to message
    argument 0 && text "$RESULT" && to=$TEXT
    argument 1 && message=$RESULT
    argument 2 && text "$RESULT"
    send "$to" "$message" "$TEXT" || return 1
    RESULT=null
}

publish() {
    local key
    argument 0 && text "$RESULT" && key=$TEXT
    argument 1 && set_event "$key" "$RESULT" || return 1
    RESULT=null
}

look() {
    local source key
    argument 0 && text "$RESULT" && source=$TEXT
    argument 1 && text "$RESULT" && key=$TEXT
    argument 2
    receipt receive_event DBOS.getEvent "$RESULT" "source_id => :'source', key => :'key'" "source=$source" "key=$key"
}

stream() {
    local key value
    argument 0 && text "$RESULT" && key=$TEXT
    argument 1 && items "$RESULT"
    for value in "${ITEMS[@]}"; do append "$key" "$value" || return 1; done
    append "$key" null is_end || return 1
    RESULT=${#ITEMS[@]}
}

family() {
    local each
    local -a children=() results=()
    argument 0 && items "$RESULT"
    for each in "${ITEMS[@]}"; do
        child visit "[[$each]]" || return 1
        children+=("$CHILD")
    done
    for each in "${children[@]}"; do
        result "$each" || return 1
        results+=("$RESULT")
    done
    array "${results[@]}"
}

# `echo` is a command of the shell, so that function has another name here.
run_named() { if [ "$1" = echo ]; then run echo_value; else run "$1"; fi; }

RUN=run_named
serve conformance echo total visit fail catch nap receive post publish look stream family
