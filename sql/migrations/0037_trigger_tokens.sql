-- A trigger whose reply was lost is sent again with its token, and starts nothing again.
drop function if exists pyengine.trigger_schedule(text);
