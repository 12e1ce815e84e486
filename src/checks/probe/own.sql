-- keep
INSERT INTO public."user" (id, name, email)
VALUES (%A%, 'markenmate verify --probe', %A% || '@markenmate.invalid'),
       (%B%, 'markenmate verify --probe', %B% || '@markenmate.invalid')
