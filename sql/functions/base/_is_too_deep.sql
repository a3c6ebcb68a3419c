-- Whether a payload is nested deeper than 500 levels: deeper ones are read by no language without care.
-- A payload with fewer brackets than that is not looked at further. Then the texts and all but the brackets are taken
-- out, and each round removes the innermost pairs.
create or replace function pyengine._is_too_deep(payload json)
returns boolean
language plpgsql
immutable
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_text text := _is_too_deep.payload::text;
begin
    if octet_length(v_text) - octet_length(replace(replace(v_text, '[', ''), '{', '')) <= 500 then
        return false;
    end if;
    v_text := regexp_replace(v_text, '"(\\.|[^"\\])*"', '', 'g');
    v_text := translate(regexp_replace(v_text, '[^][{}]+', '', 'g'), '{}', '[]');
    for v_level in 1 .. 500 loop
        exit when v_text = '';
        v_text := replace(v_text, '[]', '');
    end loop;
    return v_text <> '';
end
$$;

comment on function pyengine._is_too_deep is 'Whether a payload is nested deeper than 500 levels.';
