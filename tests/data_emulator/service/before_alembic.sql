-- A database of the service as it was before Alembic came, with emulations in every state.
BEGIN TRANSACTION;
CREATE TABLE emulations (
	number INTEGER NOT NULL, 
	id VARCHAR(36) NOT NULL, 
	idempotency_key VARCHAR(255), 
	body_digest VARCHAR(64) NOT NULL, 
	request JSON NOT NULL, 
	domain VARCHAR(255) NOT NULL, 
	world_seed BIGINT NOT NULL, 
	world_users BIGINT NOT NULL, 
	fraud_share DOUBLE NOT NULL, 
	seed BIGINT NOT NULL, 
	schema_id BIGINT, 
	state VARCHAR(16) NOT NULL, 
	error TEXT, 
	created_at DOUBLE NOT NULL, 
	started_at DOUBLE, 
	ended_at DOUBLE, 
	cancel_requested BOOLEAN NOT NULL, 
	elapsed_s DOUBLE NOT NULL, 
	records BIGINT NOT NULL, 
	bytes BIGINT NOT NULL, 
	PRIMARY KEY (number), 
	UNIQUE (id), 
	UNIQUE (idempotency_key)
);
INSERT INTO "emulations" VALUES(1,'00000000-0000-0000-0000-000000000001','first-key','0000000000000000000000000000000000000000000000000000000000000001','{"emulator_sync": "file", "format_type": "json", "sync_type": "grouped", "max_chunk_size": 1024, "emulation_domain": "transaction", "timeout": 2, "compression": "none", "rate": 50.0, "max_records": null, "seed": 1, "world_seed": null, "start_time": null, "end_time": null, "abandon_after": null}','transaction',7,1000,0.005,1,NULL,'queued',NULL,1790000001.0,NULL,NULL,0,0.0,0,0);
INSERT INTO "emulations" VALUES(2,'00000000-0000-0000-0000-000000000002',NULL,'0000000000000000000000000000000000000000000000000000000000000002','{"emulator_sync": "file", "format_type": "json", "sync_type": "grouped", "max_chunk_size": 1024, "emulation_domain": "transaction", "timeout": 2, "compression": "none", "rate": 50.0, "max_records": null, "seed": 2, "world_seed": null, "start_time": null, "end_time": null, "abandon_after": null}','transaction',7,1000,0.005,2,NULL,'processing',NULL,1790000002.0,1790000002.0,NULL,0,1.5,40,4000);
INSERT INTO "emulations" VALUES(3,'00000000-0000-0000-0000-000000000003',NULL,'0000000000000000000000000000000000000000000000000000000000000003','{"emulator_sync": "file", "format_type": "json", "sync_type": "chunked", "max_chunk_size": 1024, "emulation_domain": "transaction", "timeout": 2, "compression": "none", "rate": 50.0, "max_records": null, "seed": 3, "world_seed": null, "start_time": null, "end_time": null, "abandon_after": null}','transaction',7,1000,0.005,3,NULL,'completed',NULL,1790000003.0,1790000003.0,1.79584949405219435687e+09,0,1.5,100,10000);
INSERT INTO "emulations" VALUES(4,'00000000-0000-0000-0000-000000000004',NULL,'0000000000000000000000000000000000000000000000000000000000000004','{"emulator_sync": "minio", "format_type": "json", "sync_type": "grouped", "max_chunk_size": 1024, "emulation_domain": "transaction", "timeout": 2, "compression": "none", "rate": 50.0, "max_records": null, "seed": 4, "world_seed": null, "start_time": null, "end_time": null, "abandon_after": null}','transaction',7,1000,0.005,4,NULL,'failed','S3 at http://127.0.0.1:1: away',1790000004.0,1790000004.0,1.79584949407085633279e+09,0,1.5,0,0);
INSERT INTO "emulations" VALUES(5,'00000000-0000-0000-0000-000000000005',NULL,'0000000000000000000000000000000000000000000000000000000000000005','{"emulator_sync": "file", "format_type": "json", "sync_type": "grouped", "max_chunk_size": 1024, "emulation_domain": "transaction", "timeout": 2, "compression": "none", "rate": 50.0, "max_records": null, "seed": 5, "world_seed": null, "start_time": null, "end_time": null, "abandon_after": null}','transaction',7,1000,0.005,5,NULL,'cancelled',NULL,1790000005.0,NULL,1.79584949407810497284e+09,0,0.0,0,0);
INSERT INTO "emulations" VALUES(6,'00000000-0000-0000-0000-000000000006',NULL,'0000000000000000000000000000000000000000000000000000000000000006','{"emulator_sync": "file", "format_type": "json", "sync_type": "grouped", "max_chunk_size": 1024, "emulation_domain": "transaction", "timeout": 2, "compression": "none", "rate": 50.0, "max_records": null, "seed": 6, "world_seed": null, "start_time": null, "end_time": null, "abandon_after": null}','transaction',7,1000,0.005,6,NULL,'processing','nobody asked for it for 10 s',1790000006.0,1790000006.0,NULL,1,0.0,0,0);
INSERT INTO "emulations" VALUES(7,'00000000-0000-0000-0000-000000000007',NULL,'0000000000000000000000000000000000000000000000000000000000000007','{"emulator_sync": "kafka", "format_type": "json", "sync_type": "grouped", "max_chunk_size": 1024, "emulation_domain": "transaction", "timeout": 2, "compression": null, "rate": 50.0, "max_records": null, "seed": 7, "world_seed": null, "start_time": null, "end_time": null, "abandon_after": null}','transaction',7,1000,0.005,7,NULL,'processing',NULL,1790000007.0,1790000007.0,NULL,0,1.5,30,3000);
INSERT INTO "emulations" VALUES(8,'00000000-0000-0000-0000-000000000008',NULL,'0000000000000000000000000000000000000000000000000000000000000008','{"emulator_sync": "file", "format_type": "json", "sync_type": "chunked", "max_chunk_size": 1024, "emulation_domain": "transaction", "timeout": 600, "compression": "none", "rate": null, "max_records": 500, "seed": 8, "world_seed": null, "start_time": "2025-01-01T00:00:00Z", "end_time": "2025-01-02T00:00:00Z", "abandon_after": null}','transaction',7,1000,0.005,8,NULL,'queued',NULL,1790000008.0,NULL,NULL,0,0.0,0,0);
CREATE TABLE objects (
	emulation_id VARCHAR(36) NOT NULL, 
	"key" VARCHAR(1024) NOT NULL, 
	records BIGINT NOT NULL, 
	bytes BIGINT NOT NULL, 
	checksum VARCHAR(80) NOT NULL, 
	PRIMARY KEY (emulation_id, "key"), 
	FOREIGN KEY(emulation_id) REFERENCES emulations (id)
);
INSERT INTO "objects" VALUES('00000000-0000-0000-0000-000000000003','00000000-0000-0000-0000-000000000003/part-000000000.json',50,5000,'sha256:0000000000000000000000000000000000000000000000000000000000000000');
INSERT INTO "objects" VALUES('00000000-0000-0000-0000-000000000003','00000000-0000-0000-0000-000000000003/part-000000001.json',50,5000,'sha256:0000000000000000000000000000000000000000000000000000000000000000');
CREATE TABLE partitions (
	emulation_id VARCHAR(36) NOT NULL, 
	partition INTEGER NOT NULL, 
	first_offset BIGINT NOT NULL, 
	next_offset BIGINT NOT NULL, 
	records BIGINT NOT NULL, 
	bytes BIGINT NOT NULL, 
	PRIMARY KEY (emulation_id, partition), 
	FOREIGN KEY(emulation_id) REFERENCES emulations (id)
);
INSERT INTO "partitions" VALUES('00000000-0000-0000-0000-000000000007',0,0,30,30,3000);
CREATE TABLE transactions (
	transactional_id VARCHAR(80) NOT NULL, 
	topic VARCHAR(255), 
	partition INTEGER, 
	"offset" BIGINT, 
	partitions JSON, 
	PRIMARY KEY (transactional_id)
);
INSERT INTO "transactions" VALUES('data-emulator-writer','transactions',0,30,'{"00000000-0000-0000-0000-000000000007": [{"partition": 0, "first_offset": 0, "next_offset": 50, "records": 50, "bytes": 5000}]}');
INSERT INTO "transactions" VALUES('data-emulator-idle',NULL,NULL,NULL,NULL);
CREATE INDEX ix_emulations_state ON emulations (state);
CREATE INDEX ix_emulations_domain ON emulations (domain);
COMMIT;
