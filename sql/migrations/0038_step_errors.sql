-- The function has a parameter more, which a replacement cannot give it.
drop function if exists pyengine.list_steps(text, boolean, int, int);
