-- The application's schema before the guide's migration, for an empty database.
-- Constraint names are the ones the app's own push gives.

CREATE TYPE public.acceptance_status AS ENUM ('pending', 'accepted', 'declined');

CREATE TYPE public.log_level AS ENUM ('info', 'warn', 'error', 'debug');

CREATE TYPE public.menu_item_type AS ENUM ('drink', 'main_course', 'dessert');

CREATE TYPE public.ticket_priority AS ENUM ('low', 'medium', 'high', 'urgent');

CREATE TYPE public.ticket_status AS ENUM ('open', 'in_progress', 'closed');

CREATE TYPE public.user_role AS ENUM ('user', 'admin');

CREATE TABLE public.account (
    id text NOT NULL,
    account_id text NOT NULL,
    provider_id text NOT NULL,
    user_id text NOT NULL,
    access_token text,
    refresh_token text,
    id_token text,
    access_token_expires_at timestamp with time zone,
    refresh_token_expires_at timestamp with time zone,
    scope text,
    password text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT account_pkey PRIMARY KEY (id)
);

CREATE TABLE public.app_log (
    id serial,
    level public.log_level DEFAULT 'info'::public.log_level NOT NULL,
    message text NOT NULL,
    context text,
    user_id text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT app_log_pkey PRIMARY KEY (id)
);

CREATE TABLE public.db_backup (
    id serial,
    filename text NOT NULL,
    file_size integer NOT NULL,
    created_by_admin_id text NOT NULL,
    description text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT db_backup_pkey PRIMARY KEY (id),
    CONSTRAINT db_backup_filename_unique UNIQUE (filename)
);

CREATE TABLE public.demo_data (
    id serial,
    header text NOT NULL,
    type text NOT NULL,
    status text NOT NULL,
    target integer NOT NULL,
    "limit" integer NOT NULL,
    reviewer text NOT NULL,
    CONSTRAINT demo_data_pkey PRIMARY KEY (id)
);

CREATE TABLE public.favorite (
    id serial,
    user_id text NOT NULL,
    restaurant_id integer,
    menu_item_id integer,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT favorite_type_check CHECK ((((restaurant_id IS NOT NULL) AND (menu_item_id IS NULL)) OR ((restaurant_id IS NULL) AND (menu_item_id IS NOT NULL)))),
    CONSTRAINT favorite_pkey PRIMARY KEY (id)
);

CREATE TABLE public.menu_item (
    id serial,
    restaurant_id integer NOT NULL,
    dish_name text NOT NULL,
    type public.menu_item_type NOT NULL,
    category text NOT NULL,
    price numeric(10,2) NOT NULL,
    gives_refund boolean DEFAULT false NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT menu_item_pkey PRIMARY KEY (id)
);

CREATE TABLE public.order_history (
    id serial,
    user_id text NOT NULL,
    restaurant_id integer NOT NULL,
    visit_date timestamp with time zone DEFAULT now() NOT NULL,
    total_price numeric(10,2) NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT order_history_pkey PRIMARY KEY (id)
);

CREATE TABLE public.order_history_item (
    id serial,
    order_history_id integer NOT NULL,
    dish_name text NOT NULL,
    type text NOT NULL,
    category text NOT NULL,
    price numeric(10,2) NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT order_history_item_pkey PRIMARY KEY (id)
);

CREATE TABLE public.restaurant (
    id serial,
    name text NOT NULL,
    location text NOT NULL,
    tag text NOT NULL,
    phone_number character varying(50),
    opening_hours text,
    rating numeric(3,2),
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT rating_range CHECK (((rating IS NULL) OR ((rating >= (0)::numeric) AND (rating <= (5)::numeric)))),
    CONSTRAINT restaurant_pkey PRIMARY KEY (id)
);

CREATE TABLE public.session (
    id text NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    token text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    ip_address text,
    user_agent text,
    user_id text NOT NULL,
    CONSTRAINT session_pkey PRIMARY KEY (id),
    CONSTRAINT session_token_unique UNIQUE (token)
);

CREATE TABLE public.ticket (
    id serial,
    user_id text NOT NULL,
    title text NOT NULL,
    description text NOT NULL,
    status public.ticket_status DEFAULT 'open'::public.ticket_status NOT NULL,
    priority public.ticket_priority DEFAULT 'medium'::public.ticket_priority NOT NULL,
    assigned_to_admin_id text,
    closed_by_admin_id text,
    closed_at timestamp with time zone,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT ticket_pkey PRIMARY KEY (id)
);

CREATE TABLE public.ticket_comment (
    id serial,
    ticket_id integer NOT NULL,
    user_id text NOT NULL,
    message text NOT NULL,
    is_internal boolean DEFAULT false NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT ticket_comment_pkey PRIMARY KEY (id)
);

CREATE TABLE public.token_lending (
    id serial,
    user_id text NOT NULL,
    lend_to_user_id text,
    person_name text NOT NULL,
    token_count integer NOT NULL,
    last_lending_date timestamp with time zone DEFAULT now() NOT NULL,
    total_tokens_lent integer DEFAULT 0 NOT NULL,
    acceptance_status public.acceptance_status DEFAULT 'pending'::public.acceptance_status NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT token_lending_pkey PRIMARY KEY (id)
);

CREATE TABLE public."user" (
    id text NOT NULL,
    name text NOT NULL,
    email text NOT NULL,
    email_verified boolean DEFAULT false NOT NULL,
    image text,
    role public.user_role DEFAULT 'user'::public.user_role NOT NULL,
    must_change_password boolean DEFAULT false NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT user_pkey PRIMARY KEY (id),
    CONSTRAINT user_email_unique UNIQUE (email)
);

CREATE TABLE public.verification (
    id text NOT NULL,
    identifier text NOT NULL,
    value text NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT verification_pkey PRIMARY KEY (id)
);

ALTER TABLE public.account
    ADD CONSTRAINT account_user_id_user_id_fk FOREIGN KEY (user_id) REFERENCES public."user"(id) ON DELETE CASCADE;

ALTER TABLE public.app_log
    ADD CONSTRAINT app_log_user_id_user_id_fk FOREIGN KEY (user_id) REFERENCES public."user"(id) ON DELETE SET NULL;

ALTER TABLE public.db_backup
    ADD CONSTRAINT db_backup_created_by_admin_id_user_id_fk FOREIGN KEY (created_by_admin_id) REFERENCES public."user"(id) ON DELETE CASCADE;

ALTER TABLE public.favorite
    ADD CONSTRAINT favorite_menu_item_id_menu_item_id_fk FOREIGN KEY (menu_item_id) REFERENCES public.menu_item(id) ON DELETE CASCADE;

ALTER TABLE public.favorite
    ADD CONSTRAINT favorite_restaurant_id_restaurant_id_fk FOREIGN KEY (restaurant_id) REFERENCES public.restaurant(id) ON DELETE CASCADE;

ALTER TABLE public.favorite
    ADD CONSTRAINT favorite_user_id_user_id_fk FOREIGN KEY (user_id) REFERENCES public."user"(id) ON DELETE CASCADE;

ALTER TABLE public.menu_item
    ADD CONSTRAINT menu_item_restaurant_id_restaurant_id_fk FOREIGN KEY (restaurant_id) REFERENCES public.restaurant(id) ON DELETE CASCADE;

ALTER TABLE public.order_history
    ADD CONSTRAINT order_history_restaurant_id_restaurant_id_fk FOREIGN KEY (restaurant_id) REFERENCES public.restaurant(id) ON DELETE CASCADE;

ALTER TABLE public.order_history
    ADD CONSTRAINT order_history_user_id_user_id_fk FOREIGN KEY (user_id) REFERENCES public."user"(id) ON DELETE CASCADE;

ALTER TABLE public.order_history_item
    ADD CONSTRAINT order_history_item_order_history_id_order_history_id_fk FOREIGN KEY (order_history_id) REFERENCES public.order_history(id) ON DELETE CASCADE;

ALTER TABLE public.session
    ADD CONSTRAINT session_user_id_user_id_fk FOREIGN KEY (user_id) REFERENCES public."user"(id) ON DELETE CASCADE;

ALTER TABLE public.ticket
    ADD CONSTRAINT ticket_assigned_to_admin_id_user_id_fk FOREIGN KEY (assigned_to_admin_id) REFERENCES public."user"(id) ON DELETE SET NULL;

ALTER TABLE public.ticket
    ADD CONSTRAINT ticket_closed_by_admin_id_user_id_fk FOREIGN KEY (closed_by_admin_id) REFERENCES public."user"(id) ON DELETE SET NULL;

ALTER TABLE public.ticket
    ADD CONSTRAINT ticket_user_id_user_id_fk FOREIGN KEY (user_id) REFERENCES public."user"(id) ON DELETE CASCADE;

ALTER TABLE public.ticket_comment
    ADD CONSTRAINT ticket_comment_ticket_id_ticket_id_fk FOREIGN KEY (ticket_id) REFERENCES public.ticket(id) ON DELETE CASCADE;

ALTER TABLE public.ticket_comment
    ADD CONSTRAINT ticket_comment_user_id_user_id_fk FOREIGN KEY (user_id) REFERENCES public."user"(id) ON DELETE CASCADE;

ALTER TABLE public.token_lending
    ADD CONSTRAINT token_lending_lend_to_user_id_user_id_fk FOREIGN KEY (lend_to_user_id) REFERENCES public."user"(id) ON DELETE CASCADE;

ALTER TABLE public.token_lending
    ADD CONSTRAINT token_lending_user_id_user_id_fk FOREIGN KEY (user_id) REFERENCES public."user"(id) ON DELETE CASCADE;
