CREATE TABLE `api_keys` (
	id INTEGER NOT NULL PRIMARY KEY,
	name TEXT NOT NULL,
	prefix TEXT NOT NULL,
	hash BLOB NOT NULL,
	role TEXT NOT NULL,
	domains TEXT,
	created_at DATETIME NOT NULL,
	created_by TEXT NOT NULL,
	expires_at DATETIME,
	revoked_at DATETIME,
	last_used_at DATETIME
);
CREATE UNIQUE INDEX `api_keys_hash` ON `api_keys` (hash);
CREATE TABLE `assignment_values` (
	id INTEGER NOT NULL PRIMARY KEY,
	assignment_id INTEGER NOT NULL,
	system_role_id INTEGER NOT NULL,
	scope_type TEXT NOT NULL,
	value TEXT NOT NULL,
	FOREIGN KEY (assignment_id) REFERENCES assignments (id),
	FOREIGN KEY (system_role_id) REFERENCES system_roles (id)
);
CREATE INDEX `assignment_values_assignment` ON `assignment_values` (assignment_id);
CREATE INDEX `assignment_values_system_role` ON `assignment_values` (system_role_id);
CREATE TABLE `assignments` (
	id INTEGER NOT NULL PRIMARY KEY,
	cvr TEXT NOT NULL,
	user_id INTEGER NOT NULL,
	job_function_role_id INTEGER NOT NULL,
	start_date TEXT NOT NULL,
	stop_date TEXT NOT NULL,
	assigned_by TEXT NOT NULL,
	created_at DATETIME NOT NULL,
	ended_at DATETIME,
	ended_by TEXT NOT NULL,
	FOREIGN KEY (user_id) REFERENCES users (id),
	FOREIGN KEY (job_function_role_id) REFERENCES job_function_roles (id)
);
CREATE INDEX `assignments_role` ON `assignments` (job_function_role_id, user_id);
CREATE INDEX `assignments_start` ON `assignments` (cvr, start_date);
CREATE INDEX `assignments_stop` ON `assignments` (cvr, stop_date);
CREATE INDEX `assignments_user` ON `assignments` (user_id, cvr);
CREATE TABLE `attempts` (
	cvr TEXT NOT NULL,
	verb TEXT NOT NULL,
	identity TEXT NOT NULL,
	role TEXT NOT NULL,
	scope_type TEXT NOT NULL,
	scope_value TEXT NOT NULL,
	attempts INTEGER NOT NULL,
	first_failed_at DATETIME NOT NULL,
	next_try_at DATETIME NOT NULL,
	class TEXT NOT NULL,
	error TEXT NOT NULL,
	PRIMARY KEY (cvr, identity, verb, role, scope_type, scope_value)
);
CREATE TABLE `audit_events` (
	id INTEGER NOT NULL PRIMARY KEY,
	cvr TEXT NOT NULL,
	at DATETIME NOT NULL,
	actor TEXT NOT NULL,
	action TEXT NOT NULL,
	identity TEXT NOT NULL,
	user TEXT NOT NULL,
	role TEXT NOT NULL,
	scope_type TEXT NOT NULL,
	scope_value TEXT NOT NULL,
	reason TEXT NOT NULL,
	plan TEXT NOT NULL,
	run INTEGER NOT NULL,
	outcome TEXT NOT NULL,
	detail TEXT NOT NULL,
	prev_hash TEXT NOT NULL,
	hash TEXT NOT NULL
);
CREATE INDEX `audit_events_action` ON `audit_events` (cvr, action, at);
CREATE INDEX `audit_events_cvr` ON `audit_events` (cvr, id);
CREATE INDEX `audit_events_identity` ON `audit_events` (identity, id);
CREATE INDEX `audit_events_plan` ON `audit_events` (plan, id);
CREATE INDEX `audit_events_user` ON `audit_events` (user, id);
CREATE TABLE `audit_head` (
	id INTEGER NOT NULL PRIMARY KEY,
	last_id INTEGER NOT NULL,
	last_hash TEXT NOT NULL
);
CREATE TABLE `bridge_states` (
	cvr TEXT NOT NULL PRIMARY KEY,
	generation INTEGER NOT NULL,
	catalogue_at DATETIME,
	catalogue_count INTEGER NOT NULL,
	catalogue_error TEXT NOT NULL,
	accept_shrink BOOLEAN NOT NULL,
	numbers_at DATETIME,
	numbers_error TEXT NOT NULL,
	administrators_at DATETIME,
	first_import_at DATETIME,
	reconciled_at DATETIME,
	dates_through TEXT NOT NULL,
	quarantine_since DATETIME,
	quarantine_reason TEXT NOT NULL,
	quarantine_plan TEXT NOT NULL,
	minute INTEGER NOT NULL,
	version INTEGER NOT NULL
);
CREATE TABLE `coredata_calls` (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	at DATETIME NOT NULL,
	endpoint TEXT NOT NULL,
	domain TEXT NOT NULL,
	domain_key TEXT NOT NULL,
	client TEXT NOT NULL,
	duration_ms INTEGER NOT NULL,
	status INTEGER NOT NULL,
	success BOOLEAN NOT NULL,
	counts TEXT,
	error TEXT NOT NULL
);
CREATE INDEX `coredata_calls_at` ON `coredata_calls` (at);
CREATE INDEX `coredata_calls_domain` ON `coredata_calls` (domain_key, at);
CREATE TABLE `coredata_group_members` (
	group_id INTEGER NOT NULL,
	user_id INTEGER NOT NULL,
	PRIMARY KEY (group_id, user_id),
	FOREIGN KEY (group_id) REFERENCES coredata_groups (id),
	FOREIGN KEY (user_id) REFERENCES users (id)
);
CREATE INDEX `coredata_group_members_user` ON `coredata_group_members` (user_id);
CREATE TABLE `coredata_groups` (
	id INTEGER NOT NULL PRIMARY KEY,
	domain_id INTEGER NOT NULL,
	uuid TEXT NOT NULL,
	name TEXT NOT NULL,
	description TEXT,
	FOREIGN KEY (domain_id) REFERENCES domains (id)
);
CREATE UNIQUE INDEX `coredata_groups_uuid` ON `coredata_groups` (domain_id, uuid);
CREATE TABLE `domains` (
	id INTEGER NOT NULL PRIMARY KEY,
	name TEXT NOT NULL,
	name_key TEXT NOT NULL,
	parent_id INTEGER,
	created_at DATETIME NOT NULL,
	FOREIGN KEY (parent_id) REFERENCES domains (id)
);
CREATE UNIQUE INDEX `domains_name_key` ON `domains` (name_key);
CREATE TABLE `identities` (
	cvr TEXT NOT NULL,
	uuid TEXT NOT NULL,
	user_id INTEGER NOT NULL,
	generation INTEGER NOT NULL,
	adopted_at DATETIME,
	read_at DATETIME,
	gone_since DATETIME,
	checked_at DATETIME,
	last_error TEXT NOT NULL,
	observed_hash TEXT NOT NULL,
	retired_at DATETIME,
	PRIMARY KEY (cvr, uuid)
);
CREATE INDEX `identities_user` ON `identities` (cvr, user_id);
CREATE TABLE `installation` (
	name TEXT NOT NULL PRIMARY KEY,
	value TEXT NOT NULL
);
CREATE TABLE `it_systems` (
	id INTEGER NOT NULL PRIMARY KEY,
	identifier TEXT NOT NULL,
	name TEXT NOT NULL,
	created_at DATETIME NOT NULL
);
CREATE UNIQUE INDEX `it_systems_identifier` ON `it_systems` (identifier);
CREATE TABLE `job_function_roles` (
	id INTEGER NOT NULL PRIMARY KEY,
	cvr TEXT NOT NULL,
	it_system_id INTEGER NOT NULL,
	identifier TEXT NOT NULL,
	name TEXT NOT NULL,
	description TEXT NOT NULL,
	origin TEXT NOT NULL,
	read_only BOOLEAN NOT NULL,
	user_only BOOLEAN NOT NULL,
	retired_at DATETIME,
	created_at DATETIME NOT NULL,
	updated_at DATETIME NOT NULL,
	FOREIGN KEY (it_system_id) REFERENCES it_systems (id)
);
CREATE UNIQUE INDEX `job_function_roles_identifier` ON `job_function_roles` (cvr, it_system_id, identifier);
CREATE INDEX `job_function_roles_it_system` ON `job_function_roles` (it_system_id);
CREATE TABLE `kombit_roles` (
	user_id INTEGER NOT NULL,
	identifier TEXT NOT NULL,
	cvr TEXT NOT NULL,
	PRIMARY KEY (user_id, identifier, cvr),
	FOREIGN KEY (user_id) REFERENCES users (id)
);
CREATE TABLE `leases` (
	name TEXT NOT NULL PRIMARY KEY,
	owner TEXT NOT NULL,
	token INTEGER NOT NULL,
	acquired_at DATETIME NOT NULL,
	expires_at DATETIME NOT NULL
);
CREATE TABLE `load_releases` (
	id INTEGER NOT NULL PRIMARY KEY,
	domain_id INTEGER NOT NULL,
	released_by TEXT NOT NULL,
	reason TEXT NOT NULL,
	created_at DATETIME NOT NULL,
	used_at DATETIME,
	FOREIGN KEY (domain_id) REFERENCES domains (id)
);
CREATE INDEX `load_releases_domain` ON `load_releases` (domain_id, used_at);
CREATE TABLE `migrations` (
	id TEXT NOT NULL PRIMARY KEY
);
CREATE TABLE `observed_grants` (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	cvr TEXT NOT NULL,
	identity TEXT NOT NULL,
	role TEXT NOT NULL,
	role_name TEXT NOT NULL,
	scope_type TEXT NOT NULL,
	scope_value TEXT NOT NULL,
	internal BOOLEAN NOT NULL,
	valid_from TEXT NOT NULL,
	valid_to TEXT NOT NULL
);
CREATE INDEX `observed_grants_identity` ON `observed_grants` (cvr, identity);
CREATE INDEX `observed_grants_role` ON `observed_grants` (cvr, role, scope_type, scope_value);
CREATE TABLE `plan_parts` (
	cvr TEXT NOT NULL,
	plan_id TEXT NOT NULL,
	part INTEGER NOT NULL,
	data BLOB NOT NULL,
	PRIMARY KEY (cvr, plan_id, part)
);
CREATE TABLE `plans` (
	cvr TEXT NOT NULL,
	id TEXT NOT NULL,
	effect TEXT NOT NULL,
	selection TEXT NOT NULL,
	status TEXT NOT NULL,
	dry_run BOOLEAN NOT NULL,
	adds INTEGER NOT NULL,
	removes INTEGER NOT NULL,
	keeps INTEGER NOT NULL,
	skips INTEGER NOT NULL,
	created_at DATETIME NOT NULL,
	approved_at DATETIME,
	approved_by TEXT NOT NULL,
	approve_why TEXT NOT NULL,
	release_used BOOLEAN NOT NULL,
	applied_at DATETIME,
	PRIMARY KEY (cvr, id)
);
CREATE INDEX `plans_created` ON `plans` (cvr, created_at);
CREATE INDEX `plans_effect` ON `plans` (cvr, effect);
CREATE TABLE `runs` (
	id INTEGER NOT NULL PRIMARY KEY,
	cvr TEXT NOT NULL,
	job TEXT NOT NULL,
	`trigger` TEXT NOT NULL,
	owner TEXT NOT NULL,
	dry_run BOOLEAN NOT NULL,
	started_at DATETIME NOT NULL,
	finished_at DATETIME,
	outcome TEXT NOT NULL,
	counts TEXT,
	plan TEXT NOT NULL,
	error TEXT NOT NULL
);
CREATE INDEX `runs_job` ON `runs` (cvr, job, id);
CREATE INDEX `runs_outcome` ON `runs` (cvr, outcome);
CREATE INDEX `runs_started` ON `runs` (cvr, started_at);
CREATE TABLE `scope_numbers` (
	id INTEGER NOT NULL PRIMARY KEY,
	cvr TEXT NOT NULL,
	scope_type TEXT NOT NULL,
	value TEXT NOT NULL,
	name TEXT NOT NULL,
	gone_at DATETIME,
	created_at DATETIME NOT NULL,
	updated_at DATETIME NOT NULL
);
CREATE UNIQUE INDEX `scope_numbers_value` ON `scope_numbers` (cvr, scope_type, value);
CREATE TABLE `scope_rules` (
	id INTEGER NOT NULL PRIMARY KEY,
	job_function_role_id INTEGER NOT NULL,
	system_role_id INTEGER NOT NULL,
	scope_type TEXT NOT NULL,
	at_assignment BOOLEAN NOT NULL,
	`values` TEXT,
	FOREIGN KEY (job_function_role_id) REFERENCES job_function_roles (id),
	FOREIGN KEY (system_role_id) REFERENCES system_roles (id)
);
CREATE INDEX `scope_rules_job_function_role` ON `scope_rules` (job_function_role_id);
CREATE INDEX `scope_rules_system_role` ON `scope_rules` (system_role_id);
CREATE TABLE `sequences` (
	name TEXT NOT NULL PRIMARY KEY,
	next_id INTEGER NOT NULL
);
CREATE TABLE `system_roles` (
	id INTEGER NOT NULL PRIMARY KEY,
	cvr TEXT NOT NULL,
	it_system_id INTEGER NOT NULL,
	uuid TEXT NOT NULL,
	name TEXT NOT NULL,
	description TEXT NOT NULL,
	basic_package BOOLEAN NOT NULL,
	since INTEGER NOT NULL,
	withdrawn_at DATETIME,
	created_at DATETIME NOT NULL,
	updated_at DATETIME NOT NULL,
	FOREIGN KEY (it_system_id) REFERENCES it_systems (id)
);
CREATE INDEX `system_roles_it_system` ON `system_roles` (it_system_id);
CREATE UNIQUE INDEX `system_roles_uuid` ON `system_roles` (cvr, uuid);
CREATE TABLE `users` (
	id INTEGER NOT NULL PRIMARY KEY,
	uuid TEXT NOT NULL,
	ext_uuid TEXT NOT NULL,
	domain_id INTEGER NOT NULL,
	user_id TEXT NOT NULL,
	user_key TEXT NOT NULL,
	name TEXT NOT NULL,
	email TEXT NOT NULL,
	nemlogin_uuid TEXT NOT NULL,
	cpr_cipher BLOB,
	cpr_index BLOB,
	disabled BOOLEAN NOT NULL,
	disabled_at DATETIME,
	deleted BOOLEAN NOT NULL,
	deleted_time DATETIME,
	created_at DATETIME NOT NULL,
	updated_at DATETIME NOT NULL,
	search TEXT NOT NULL, `from_core_data` BOOLEAN NOT NULL DEFAULT FALSE, `cd_alias` TEXT NOT NULL DEFAULT '', `cd_nsis_allowed` BOOLEAN NOT NULL DEFAULT FALSE, `cd_transfer_to_nemlogin` BOOLEAN NOT NULL DEFAULT FALSE, `cd_private_mitid` BOOLEAN NOT NULL DEFAULT FALSE, `cd_qualified_signature` BOOLEAN NOT NULL DEFAULT FALSE, `cd_robot` BOOLEAN NOT NULL DEFAULT FALSE, `cd_trusted_employee` BOOLEAN NOT NULL DEFAULT FALSE, `cd_expires_at` DATETIME, `cd_password_changed_on` TEXT NOT NULL DEFAULT '', `cd_department` TEXT NOT NULL DEFAULT '', `cd_ean` TEXT NOT NULL DEFAULT '', `cd_rid` TEXT NOT NULL DEFAULT '', `cd_external_uuid` TEXT NOT NULL DEFAULT '', `cd_attributes` TEXT, `cd_kombit_attributes` TEXT, `cd_roles` TEXT, `cd_locked_dataset` BOOLEAN NOT NULL DEFAULT FALSE, `cd_locked_dataset_at` DATETIME, `cd_locked_expired` BOOLEAN NOT NULL DEFAULT FALSE,
	FOREIGN KEY (domain_id) REFERENCES domains (id)
);
CREATE INDEX `users_cpr_index` ON `users` (cpr_index);
CREATE UNIQUE INDEX `users_domain_user` ON `users` (domain_id, user_key);
CREATE INDEX `users_expires` ON `users` (cd_locked_expired, cd_expires_at);
CREATE INDEX `users_ext_uuid` ON `users` (ext_uuid);
CREATE INDEX `users_nemlogin_uuid` ON `users` (nemlogin_uuid);
CREATE INDEX `users_user_key` ON `users` (user_key);
CREATE UNIQUE INDEX `users_uuid` ON `users` (uuid);
CREATE TABLE `work` (
	cvr TEXT NOT NULL,
	user_id INTEGER NOT NULL,
	reason TEXT NOT NULL,
	version INTEGER NOT NULL,
	attempts INTEGER NOT NULL,
	first_failed_at DATETIME,
	next_try_at DATETIME NOT NULL,
	last_error TEXT NOT NULL,
	created_at DATETIME NOT NULL,
	PRIMARY KEY (cvr, user_id)
);
CREATE INDEX `work_due` ON `work` (cvr, next_try_at, user_id);
