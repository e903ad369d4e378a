CREATE TABLE `api_keys` (
  `id` bigint(20) unsigned NOT NULL,
  `name` mediumtext NOT NULL,
  `prefix` varchar(64) NOT NULL,
  `hash` varbinary(32) NOT NULL,
  `role` varchar(32) NOT NULL,
  `domains` mediumtext DEFAULT NULL,
  `created_at` datetime(6) NOT NULL,
  `created_by` mediumtext NOT NULL,
  `expires_at` datetime(6) DEFAULT NULL,
  `revoked_at` datetime(6) DEFAULT NULL,
  `last_used_at` datetime(6) DEFAULT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `api_keys_hash` (`hash`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;
CREATE TABLE `assignments` (
  `id` bigint(20) unsigned NOT NULL,
  `cvr` varchar(16) NOT NULL,
  `user_id` bigint(20) unsigned NOT NULL,
  `job_function_role_id` bigint(20) unsigned NOT NULL,
  `start_date` char(10) NOT NULL,
  `stop_date` char(10) NOT NULL,
  `assigned_by` mediumtext NOT NULL,
  `created_at` datetime(6) NOT NULL,
  `ended_at` datetime(6) DEFAULT NULL,
  `ended_by` mediumtext NOT NULL,
  PRIMARY KEY (`id`),
  KEY `assignments_user` (`user_id`,`cvr`),
  KEY `assignments_role` (`job_function_role_id`,`user_id`),
  KEY `assignments_start` (`cvr`,`start_date`),
  KEY `assignments_stop` (`cvr`,`stop_date`),
  CONSTRAINT `assignments_ibfk_1` FOREIGN KEY (`user_id`) REFERENCES `users` (`id`),
  CONSTRAINT `assignments_ibfk_2` FOREIGN KEY (`job_function_role_id`) REFERENCES `job_function_roles` (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;
CREATE TABLE `assignment_values` (
  `id` bigint(20) unsigned NOT NULL,
  `assignment_id` bigint(20) unsigned NOT NULL,
  `system_role_id` bigint(20) unsigned NOT NULL,
  `scope_type` varchar(64) NOT NULL,
  `value` varchar(255) NOT NULL,
  PRIMARY KEY (`id`),
  KEY `assignment_values_assignment` (`assignment_id`),
  KEY `assignment_values_system_role` (`system_role_id`),
  CONSTRAINT `assignment_values_ibfk_1` FOREIGN KEY (`assignment_id`) REFERENCES `assignments` (`id`),
  CONSTRAINT `assignment_values_ibfk_2` FOREIGN KEY (`system_role_id`) REFERENCES `system_roles` (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;
CREATE TABLE `attempts` (
  `cvr` varchar(16) NOT NULL,
  `verb` varchar(16) NOT NULL,
  `identity` varchar(64) NOT NULL,
  `role` varchar(64) NOT NULL,
  `scope_type` varchar(64) NOT NULL,
  `scope_value` varchar(255) NOT NULL,
  `attempts` bigint(20) NOT NULL,
  `first_failed_at` datetime(6) NOT NULL,
  `next_try_at` datetime(6) NOT NULL,
  `class` varchar(64) NOT NULL,
  `error` mediumtext NOT NULL,
  PRIMARY KEY (`cvr`,`identity`,`verb`,`role`,`scope_type`,`scope_value`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;
CREATE TABLE `audit_events` (
  `id` bigint(20) unsigned NOT NULL,
  `cvr` varchar(16) NOT NULL,
  `at` datetime(6) NOT NULL,
  `actor` varchar(255) NOT NULL,
  `action` varchar(64) NOT NULL,
  `identity` varchar(64) NOT NULL,
  `user` varchar(255) NOT NULL,
  `role` varchar(64) NOT NULL,
  `scope_type` varchar(64) NOT NULL,
  `scope_value` varchar(255) NOT NULL,
  `reason` mediumtext NOT NULL,
  `plan` varchar(128) NOT NULL,
  `run` bigint(20) unsigned NOT NULL,
  `outcome` varchar(32) NOT NULL,
  `detail` mediumtext NOT NULL,
  `prev_hash` varchar(64) NOT NULL,
  `hash` varchar(64) NOT NULL,
  PRIMARY KEY (`id`),
  KEY `audit_events_action` (`cvr`,`action`,`at`),
  KEY `audit_events_identity` (`identity`,`id`),
  KEY `audit_events_user` (`user`,`id`),
  KEY `audit_events_plan` (`plan`,`id`),
  KEY `audit_events_cvr` (`cvr`,`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;
CREATE TABLE `audit_head` (
  `id` bigint(20) unsigned NOT NULL,
  `last_id` bigint(20) unsigned NOT NULL,
  `last_hash` varchar(64) NOT NULL,
  PRIMARY KEY (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;
CREATE TABLE `bridge_states` (
  `cvr` varchar(16) NOT NULL,
  `generation` bigint(20) NOT NULL,
  `catalogue_at` datetime(6) DEFAULT NULL,
  `catalogue_count` bigint(20) NOT NULL,
  `catalogue_error` mediumtext NOT NULL,
  `accept_shrink` tinyint(1) NOT NULL,
  `numbers_at` datetime(6) DEFAULT NULL,
  `numbers_error` mediumtext NOT NULL,
  `administrators_at` datetime(6) DEFAULT NULL,
  `first_import_at` datetime(6) DEFAULT NULL,
  `reconciled_at` datetime(6) DEFAULT NULL,
  `dates_through` char(10) NOT NULL,
  `quarantine_since` datetime(6) DEFAULT NULL,
  `quarantine_reason` mediumtext NOT NULL,
  `quarantine_plan` varchar(128) NOT NULL,
  `minute` bigint(20) NOT NULL,
  `version` bigint(20) NOT NULL,
  PRIMARY KEY (`cvr`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;
CREATE TABLE `coredata_calls` (
  `id` bigint(20) unsigned NOT NULL AUTO_INCREMENT,
  `at` datetime(6) NOT NULL,
  `endpoint` varchar(255) NOT NULL,
  `domain` mediumtext NOT NULL,
  `domain_key` varchar(255) NOT NULL,
  `client` mediumtext NOT NULL,
  `duration_ms` bigint(20) NOT NULL,
  `status` bigint(20) NOT NULL,
  `success` tinyint(1) NOT NULL,
  `counts` mediumtext DEFAULT NULL,
  `error` mediumtext NOT NULL,
  PRIMARY KEY (`id`),
  KEY `coredata_calls_at` (`at`),
  KEY `coredata_calls_domain` (`domain_key`,`at`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;
CREATE TABLE `coredata_groups` (
  `id` bigint(20) unsigned NOT NULL,
  `domain_id` bigint(20) unsigned NOT NULL,
  `uuid` varchar(255) NOT NULL,
  `name` mediumtext NOT NULL,
  `description` mediumtext DEFAULT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `coredata_groups_uuid` (`domain_id`,`uuid`),
  CONSTRAINT `coredata_groups_ibfk_1` FOREIGN KEY (`domain_id`) REFERENCES `domains` (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;
CREATE TABLE `coredata_group_members` (
  `group_id` bigint(20) unsigned NOT NULL,
  `user_id` bigint(20) unsigned NOT NULL,
  PRIMARY KEY (`group_id`,`user_id`),
  KEY `coredata_group_members_user` (`user_id`),
  CONSTRAINT `coredata_group_members_ibfk_1` FOREIGN KEY (`group_id`) REFERENCES `coredata_groups` (`id`),
  CONSTRAINT `coredata_group_members_ibfk_2` FOREIGN KEY (`user_id`) REFERENCES `users` (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;
CREATE TABLE `domains` (
  `id` bigint(20) unsigned NOT NULL,
  `name` varchar(255) NOT NULL,
  `name_key` varchar(255) NOT NULL,
  `parent_id` bigint(20) unsigned DEFAULT NULL,
  `created_at` datetime(6) NOT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `domains_name_key` (`name_key`),
  KEY `parent_id` (`parent_id`),
  CONSTRAINT `domains_ibfk_1` FOREIGN KEY (`parent_id`) REFERENCES `domains` (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;
CREATE TABLE `identities` (
  `cvr` varchar(16) NOT NULL,
  `uuid` varchar(64) NOT NULL,
  `user_id` bigint(20) unsigned NOT NULL,
  `generation` bigint(20) NOT NULL,
  `adopted_at` datetime(6) DEFAULT NULL,
  `read_at` datetime(6) DEFAULT NULL,
  `gone_since` datetime(6) DEFAULT NULL,
  `checked_at` datetime(6) DEFAULT NULL,
  `last_error` mediumtext NOT NULL,
  `observed_hash` varchar(128) NOT NULL,
  `retired_at` datetime(6) DEFAULT NULL,
  PRIMARY KEY (`cvr`,`uuid`),
  KEY `identities_user` (`cvr`,`user_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;
CREATE TABLE `installation` (
  `name` varchar(64) NOT NULL,
  `value` mediumtext NOT NULL,
  PRIMARY KEY (`name`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;
CREATE TABLE `it_systems` (
  `id` bigint(20) unsigned NOT NULL,
  `identifier` varchar(64) NOT NULL,
  `name` mediumtext NOT NULL,
  `created_at` datetime(6) NOT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `it_systems_identifier` (`identifier`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;
CREATE TABLE `job_function_roles` (
  `id` bigint(20) unsigned NOT NULL,
  `cvr` varchar(16) NOT NULL,
  `it_system_id` bigint(20) unsigned NOT NULL,
  `identifier` varchar(255) NOT NULL,
  `name` mediumtext NOT NULL,
  `description` mediumtext NOT NULL,
  `origin` varchar(32) NOT NULL,
  `read_only` tinyint(1) NOT NULL,
  `user_only` tinyint(1) NOT NULL,
  `retired_at` datetime(6) DEFAULT NULL,
  `created_at` datetime(6) NOT NULL,
  `updated_at` datetime(6) NOT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `job_function_roles_identifier` (`cvr`,`it_system_id`,`identifier`),
  KEY `job_function_roles_it_system` (`it_system_id`),
  CONSTRAINT `job_function_roles_ibfk_1` FOREIGN KEY (`it_system_id`) REFERENCES `it_systems` (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;
CREATE TABLE `kombit_roles` (
  `user_id` bigint(20) unsigned NOT NULL,
  `identifier` varchar(255) NOT NULL,
  `cvr` varchar(8) NOT NULL,
  PRIMARY KEY (`user_id`,`identifier`,`cvr`),
  CONSTRAINT `kombit_roles_ibfk_1` FOREIGN KEY (`user_id`) REFERENCES `users` (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;
CREATE TABLE `leases` (
  `name` varchar(64) NOT NULL,
  `owner` varchar(255) NOT NULL,
  `token` bigint(20) unsigned NOT NULL,
  `acquired_at` datetime(6) NOT NULL,
  `expires_at` datetime(6) NOT NULL,
  PRIMARY KEY (`name`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;
CREATE TABLE `load_releases` (
  `id` bigint(20) unsigned NOT NULL,
  `domain_id` bigint(20) unsigned NOT NULL,
  `released_by` mediumtext NOT NULL,
  `reason` mediumtext NOT NULL,
  `created_at` datetime(6) NOT NULL,
  `used_at` datetime(6) DEFAULT NULL,
  PRIMARY KEY (`id`),
  KEY `load_releases_domain` (`domain_id`,`used_at`),
  CONSTRAINT `load_releases_ibfk_1` FOREIGN KEY (`domain_id`) REFERENCES `domains` (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;
CREATE TABLE `migrations` (
  `id` varchar(255) NOT NULL,
  PRIMARY KEY (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;
CREATE TABLE `observed_grants` (
  `id` bigint(20) unsigned NOT NULL AUTO_INCREMENT,
  `cvr` varchar(16) NOT NULL,
  `identity` varchar(64) NOT NULL,
  `role` varchar(64) NOT NULL,
  `role_name` mediumtext NOT NULL,
  `scope_type` varchar(64) NOT NULL,
  `scope_value` varchar(255) NOT NULL,
  `internal` tinyint(1) NOT NULL,
  `valid_from` mediumtext NOT NULL,
  `valid_to` mediumtext NOT NULL,
  PRIMARY KEY (`id`),
  KEY `observed_grants_identity` (`cvr`,`identity`),
  KEY `observed_grants_role` (`cvr`,`role`,`scope_type`,`scope_value`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;
CREATE TABLE `plans` (
  `cvr` varchar(16) NOT NULL,
  `id` varchar(128) NOT NULL,
  `effect` varchar(128) NOT NULL,
  `selection` mediumtext NOT NULL,
  `status` varchar(16) NOT NULL,
  `dry_run` tinyint(1) NOT NULL,
  `adds` bigint(20) NOT NULL,
  `removes` bigint(20) NOT NULL,
  `keeps` bigint(20) NOT NULL,
  `skips` bigint(20) NOT NULL,
  `created_at` datetime(6) NOT NULL,
  `approved_at` datetime(6) DEFAULT NULL,
  `approved_by` mediumtext NOT NULL,
  `approve_why` mediumtext NOT NULL,
  `release_used` tinyint(1) NOT NULL,
  `applied_at` datetime(6) DEFAULT NULL,
  PRIMARY KEY (`cvr`,`id`),
  KEY `plans_created` (`cvr`,`created_at`),
  KEY `plans_effect` (`cvr`,`effect`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;
CREATE TABLE `plan_parts` (
  `cvr` varchar(16) NOT NULL,
  `plan_id` varchar(128) NOT NULL,
  `part` bigint(20) NOT NULL,
  `data` longblob NOT NULL,
  PRIMARY KEY (`cvr`,`plan_id`,`part`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;
CREATE TABLE `runs` (
  `id` bigint(20) unsigned NOT NULL,
  `cvr` varchar(16) NOT NULL,
  `job` varchar(64) NOT NULL,
  `trigger` varchar(64) NOT NULL,
  `owner` varchar(255) NOT NULL,
  `dry_run` tinyint(1) NOT NULL,
  `started_at` datetime(6) NOT NULL,
  `finished_at` datetime(6) DEFAULT NULL,
  `outcome` varchar(32) NOT NULL,
  `counts` mediumtext DEFAULT NULL,
  `plan` varchar(128) NOT NULL,
  `error` mediumtext NOT NULL,
  PRIMARY KEY (`id`),
  KEY `runs_job` (`cvr`,`job`,`id`),
  KEY `runs_started` (`cvr`,`started_at`),
  KEY `runs_outcome` (`cvr`,`outcome`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;
CREATE TABLE `scope_numbers` (
  `id` bigint(20) unsigned NOT NULL,
  `cvr` varchar(16) NOT NULL,
  `scope_type` varchar(64) NOT NULL,
  `value` varchar(255) NOT NULL,
  `name` mediumtext NOT NULL,
  `gone_at` datetime(6) DEFAULT NULL,
  `created_at` datetime(6) NOT NULL,
  `updated_at` datetime(6) NOT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `scope_numbers_value` (`cvr`,`scope_type`,`value`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;
CREATE TABLE `scope_rules` (
  `id` bigint(20) unsigned NOT NULL,
  `job_function_role_id` bigint(20) unsigned NOT NULL,
  `system_role_id` bigint(20) unsigned NOT NULL,
  `scope_type` varchar(64) NOT NULL,
  `at_assignment` tinyint(1) NOT NULL,
  `values` mediumtext DEFAULT NULL,
  PRIMARY KEY (`id`),
  KEY `scope_rules_job_function_role` (`job_function_role_id`),
  KEY `scope_rules_system_role` (`system_role_id`),
  CONSTRAINT `scope_rules_ibfk_1` FOREIGN KEY (`job_function_role_id`) REFERENCES `job_function_roles` (`id`),
  CONSTRAINT `scope_rules_ibfk_2` FOREIGN KEY (`system_role_id`) REFERENCES `system_roles` (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;
CREATE TABLE `sequences` (
  `name` varchar(64) NOT NULL,
  `next_id` bigint(20) unsigned NOT NULL,
  PRIMARY KEY (`name`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;
CREATE TABLE `system_roles` (
  `id` bigint(20) unsigned NOT NULL,
  `cvr` varchar(16) NOT NULL,
  `it_system_id` bigint(20) unsigned NOT NULL,
  `uuid` varchar(64) NOT NULL,
  `name` mediumtext NOT NULL,
  `description` mediumtext NOT NULL,
  `basic_package` tinyint(1) NOT NULL,
  `since` bigint(20) NOT NULL,
  `withdrawn_at` datetime(6) DEFAULT NULL,
  `created_at` datetime(6) NOT NULL,
  `updated_at` datetime(6) NOT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `system_roles_uuid` (`cvr`,`uuid`),
  KEY `system_roles_it_system` (`it_system_id`),
  CONSTRAINT `system_roles_ibfk_1` FOREIGN KEY (`it_system_id`) REFERENCES `it_systems` (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;
CREATE TABLE `users` (
  `id` bigint(20) unsigned NOT NULL,
  `uuid` varchar(64) NOT NULL,
  `ext_uuid` varchar(128) NOT NULL,
  `domain_id` bigint(20) unsigned NOT NULL,
  `user_id` varchar(255) NOT NULL,
  `user_key` varchar(255) NOT NULL,
  `name` mediumtext NOT NULL,
  `email` mediumtext NOT NULL,
  `nemlogin_uuid` varchar(64) NOT NULL,
  `cpr_cipher` varbinary(255) DEFAULT NULL,
  `cpr_index` varbinary(32) DEFAULT NULL,
  `disabled` tinyint(1) NOT NULL,
  `disabled_at` datetime(6) DEFAULT NULL,
  `deleted` tinyint(1) NOT NULL,
  `deleted_time` datetime(6) DEFAULT NULL,
  `created_at` datetime(6) NOT NULL,
  `updated_at` datetime(6) NOT NULL,
  `search` mediumtext NOT NULL,
  `from_core_data` tinyint(1) NOT NULL DEFAULT 0,
  `cd_alias` mediumtext NOT NULL DEFAULT '',
  `cd_nsis_allowed` tinyint(1) NOT NULL DEFAULT 0,
  `cd_transfer_to_nemlogin` tinyint(1) NOT NULL DEFAULT 0,
  `cd_private_mitid` tinyint(1) NOT NULL DEFAULT 0,
  `cd_qualified_signature` tinyint(1) NOT NULL DEFAULT 0,
  `cd_robot` tinyint(1) NOT NULL DEFAULT 0,
  `cd_trusted_employee` tinyint(1) NOT NULL DEFAULT 0,
  `cd_expires_at` datetime(6) DEFAULT NULL,
  `cd_password_changed_on` char(10) NOT NULL DEFAULT '',
  `cd_department` mediumtext NOT NULL DEFAULT '',
  `cd_ean` mediumtext NOT NULL DEFAULT '',
  `cd_rid` mediumtext NOT NULL DEFAULT '',
  `cd_external_uuid` mediumtext NOT NULL DEFAULT '',
  `cd_attributes` mediumtext DEFAULT NULL,
  `cd_kombit_attributes` mediumtext DEFAULT NULL,
  `cd_roles` mediumtext DEFAULT NULL,
  `cd_locked_dataset` tinyint(1) NOT NULL DEFAULT 0,
  `cd_locked_dataset_at` datetime(6) DEFAULT NULL,
  `cd_locked_expired` tinyint(1) NOT NULL DEFAULT 0,
  PRIMARY KEY (`id`),
  UNIQUE KEY `users_uuid` (`uuid`),
  UNIQUE KEY `users_domain_user` (`domain_id`,`user_key`),
  KEY `users_user_key` (`user_key`),
  KEY `users_ext_uuid` (`ext_uuid`),
  KEY `users_nemlogin_uuid` (`nemlogin_uuid`),
  KEY `users_cpr_index` (`cpr_index`),
  KEY `users_expires` (`cd_locked_expired`,`cd_expires_at`),
  CONSTRAINT `users_ibfk_1` FOREIGN KEY (`domain_id`) REFERENCES `domains` (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;
CREATE TABLE `work` (
  `cvr` varchar(16) NOT NULL,
  `user_id` bigint(20) unsigned NOT NULL,
  `reason` mediumtext NOT NULL,
  `version` bigint(20) NOT NULL,
  `attempts` bigint(20) NOT NULL,
  `first_failed_at` datetime(6) DEFAULT NULL,
  `next_try_at` datetime(6) NOT NULL,
  `last_error` mediumtext NOT NULL,
  `created_at` datetime(6) NOT NULL,
  PRIMARY KEY (`cvr`,`user_id`),
  KEY `work_due` (`cvr`,`next_try_at`,`user_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;
