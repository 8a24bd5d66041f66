#include "config/known_keys.hh"

#include <array>

namespace seawall::config {
namespace {

constexpr auto exact = KnownKey::Spelling::exact;
constexpr auto walg = KnownKey::Spelling::walg;
constexpr auto storage = KnownKey::Spelling::storage;

constexpr auto table = std::to_array<KnownKey>({
    // Common
    {"WALG_DOWNLOAD_CONCURRENCY", exact, "How many objects are fetched at once, and how far WAL is fetched ahead."},
    {"WALG_UPLOAD_CONCURRENCY", exact, "How many uploads run at once."},
    {"WALG_UPLOAD_DISK_CONCURRENCY", exact, "How many parts of a backup are read from disk at once."},
    {"WALG_UPLOAD_QUEUE", exact, "How many finished parts may wait for their upload."},
    {"UPLOAD_CONCURRENCY", exact, "Old name of WALG_UPLOAD_CONCURRENCY."},
    {"WALG_DOWNLOAD_FILE_RETRIES", exact, "How many rounds a restore repeats parts that failed."},
    {"WALG_COMPRESSION_METHOD", exact, "Compression of new objects."},
    {"WALG_ZSTD_LEVEL", exact, "Level of zstd compression."},
    {"WALG_STORAGE_PREFIX", exact, "A directory below the storage's prefix that everything is kept in."},
    {"WALG_TAR_SIZE_THRESHOLD", exact, "Size at which a backup begins its next part."},
    {"WALG_TAR_DISABLE_FSYNC", exact, "A restore leaves its files to the operating system to write."},
    {"WALG_DISK_RATE_LIMIT", exact, "Most bytes per second read from disk."},
    {"WALG_NETWORK_RATE_LIMIT", exact, "Most bytes per second exchanged with the storage."},
    {"WALG_SENTINEL_USER_DATA", exact, "JSON that is kept with each new backup."},
    {"WALG_PREVENT_WAL_OVERWRITE", exact, "Compare with what is stored before a segment is pushed again."},
    {"WALG_UPLOAD_WAL_METADATA", exact, "Keep times of WAL segments in JSON objects beside them."},
    {"WALG_DELTA_MAX_STEPS", exact, "How many deltas may follow a full backup."},
    {"WALG_DELTA_ORIGIN", exact, "What a delta is based on: the last backup, or the last full one."},
    {"WALG_DELTA_FROM_NAME", exact, "Name of the backup that a delta is based on."},
    {"WALG_DELTA_FROM_USER_DATA", exact, "User data of the backup that a delta is based on."},
    {"WALG_FETCH_TARGET_USER_DATA", exact, "User data of the backup to fetch."},
    {"WALG_USE_WAL_DELTA", exact, "Record which blocks WAL changes, to make deltas faster."},
    {"WALG_USE_REVERSE_UNPACK", exact, "Restore a chain of deltas from its newest member backwards."},
    {"WALG_SKIP_REDUNDANT_TARS", exact, "Leave out parts of which nothing would be kept."},
    {"WALG_VERIFY_PAGE_CHECKSUMS", exact, "Check page checksums while a backup is taken."},
    {"WALG_STORE_ALL_CORRUPT_BLOCKS", exact, "List every corrupt block in the backup's description."},
    {"WALG_USE_RATING_COMPOSER", exact, "Deal files into parts by how often they change."},
    {"WALG_USE_COPY_COMPOSER", exact, "Take over parts of the backup before that did not change."},
    {"WALG_USE_DATABASE_COMPOSER", exact, "Keep each database in parts of its own."},
    {"WALG_WITHOUT_FILES_METADATA", exact, "Keep no list of files with a backup; no delta can follow it."},
    {"TOTAL_BG_UPLOADED_LIMIT", exact, "How many waiting segments one wal-push takes along at most."},
    {"WALG_LOG_LEVEL", exact, "How much is logged."},
    {"WALG_LOG_DESTINATION", exact, "File that the log is appended to."},
    {"WALG_DIRECT_IO", exact, "Read the data directory past the page cache."},
    {"WALG_DIRECT_IO_BLOCK_COUNT", exact, "Blocks per read past the page cache."},
    {"WALG_STREAM_CREATE_COMMAND", exact, "Command that prints a backup; of other databases than PostgreSQL."},
    {"WALG_STREAM_RESTORE_COMMAND", exact, "Command that reads a backup; of other databases than PostgreSQL."},
    {"WALG_SERIALIZER_TYPE", exact, "How JSON is produced; without a meaning here."},
    {"WALG_STATSD_ADDRESS", exact, "Where metrics are sent at the end of a command."},
    {"WALG_STATSD_EXTRA_TAGS", exact, "Tags added to each metric."},
    {"PROFILE_SAMPLING_RATIO", exact, "Share of the runs that are profiled."},
    {"PROFILE_MODE", exact, "What is profiled."},
    {"PROFILE_PATH", exact, "Where profiles are written."},
    {"HTTP_LISTEN", exact, "Address of the debugging web server."},
    {"HTTP_EXPOSE_PPROF", exact, "Offer profiles on the debugging web server."},
    {"HTTP_EXPOSE_EXPVAR", exact, "Offer variables on the debugging web server."},
    {"GOMAXPROCS", exact, "Number of processors that WAL-G's runtime uses."},
    {"GODEBUG", exact, "Switches of WAL-G's runtime."},
    // Encryption
    {"WALG_PGP_KEY", exact, "OpenPGP key as text.", true},
    {"WALG_PGP_KEY_PATH", exact, "File of the OpenPGP key."},
    {"WALG_PGP_KEY_PASSPHRASE", exact, "Passphrase of the OpenPGP key.", true},
    {"GPG_KEY_ID", walg, "Identifier of a key in the GnuPG key ring."},
    {"WALG_ENVELOPE_PGP_KEY", exact, "OpenPGP key, itself encrypted, as text.", true},
    {"WALG_ENVELOPE_PGP_KEY_PATH", exact, "File of the OpenPGP key that is itself encrypted."},
    {"WALG_ENVELOPE_PGP_YC_CSE_KMS_KEY_ID", exact, "Yandex key that encrypts the OpenPGP key."},
    {"WALG_ENVELOPE_PGP_YC_SERVICE_ACCOUNT_KEY_FILE", exact, "Yandex service account used for the OpenPGP key."},
    {"WALG_ENVELOPE_PGP_YC_ENDPOINT", exact, "Address of the Yandex key service."},
    {"WALG_ENVELOPE_CACHE_EXPIRATION", exact, "How long a decrypted key is kept in memory."},
    {"WALG_LIBSODIUM_KEY", exact, "Key of libsodium encryption.", true},
    {"WALG_LIBSODIUM_KEY_PATH", exact, "File of the key of libsodium encryption."},
    {"WALG_LIBSODIUM_KEY_TRANSFORM", exact, "How the key is written: none, hex or base64."},
    {"WALG_CSE_KMS_ID", exact, "AWS key that encrypts each object's key."},
    {"WALG_CSE_KMS_REGION", exact, "Region of the AWS key."},
    {"YC_CSE_KMS_KEY_ID", exact, "Yandex key that encrypts each object's key."},
    {"YC_SERVICE_ACCOUNT_KEY_FILE", exact, "Yandex service account."},
    // PostgreSQL
    {"PGHOST", exact, "Server or socket directory to connect to; read by libpq."},
    {"PGPORT", exact, "Port to connect to; read by libpq."},
    {"PGUSER", exact, "User to connect as; read by libpq."},
    {"PGPASSWORD", exact, "Password; read by libpq.", true},
    {"PGPASSFILE", exact, "File of passwords; read by libpq."},
    {"PGDATABASE", exact, "Database to connect to; read by libpq."},
    {"PGSSLMODE", exact, "Whether the connection must be encrypted; read by libpq."},
    {"PGSSLKEY", exact, "File of the client's key; read by libpq."},
    {"PGSSLCERT", exact, "File of the client's certificate; read by libpq."},
    {"PGSSLROOTCERT", exact, "File of trusted certificates; read by libpq."},
    {"PGAPPNAME", exact, "Name shown in pg_stat_activity; read by libpq."},
    {"PGDATA", exact, "The data directory."},
    {"WALG_PG_WAL_SIZE", exact, "Size of a WAL segment in MiB."},
    {"WALG_PG_WAL_PAGE_SIZE", exact, "Size of a WAL page in bytes."},
    {"WALG_PG_BLOCK_SIZE", exact, "Size of a data page in bytes."},
    {"WALG_SLOTNAME", exact, "Replication slot that WAL is received through."},
    {"WALG_PREFETCH_DIR", exact, "Where WAL that was fetched ahead is kept."},
    {"PG_READY_RENAME", exact, "Rename archive_status/X.ready when a segment was pushed along."},
    {"WALG_ALIVE_CHECK_INTERVAL", exact, "How often the connection is checked during a backup."},
    {"WALG_STOP_BACKUP_TIMEOUT", exact, "How long the server may take to end a backup."},
    {"WALG_FORCE_WAL_DELTA", exact, "Take no delta without the recorded block changes."},
    {"WALG_DISABLE_PARTIAL_RESTORE", exact, "Do not keep the names of databases with a backup."},
    {"WALG_TARGET_STORAGE", exact, "The one storage of several that a command works on."},
    {"WALG_FAILOVER_STORAGES", exact, "Further storages to use while the first is not reachable.", true},
    {"WALG_FAILOVER_STORAGES_CHECK", exact, "Check storages before they are used."},
    {"WALG_FAILOVER_STORAGES_CHECK_TIMEOUT", exact, "How long a check of the storages may take."},
    {"WALG_FAILOVER_STORAGES_CACHE_LIFETIME", exact, "How long the result of a check is believed."},
    {"WALG_FAILOVER_STORAGES_CHECK_SIZE", exact, "Size of the object that a check writes."},
    {"WALG_FAILOVER_STORAGES_CACHE_EMA_ALIVE_LIMIT", exact, "Score above which a dead storage counts as alive."},
    {"WALG_FAILOVER_STORAGES_CACHE_EMA_DEAD_LIMIT", exact, "Score below which a live storage counts as dead."},
    {"WALG_FAILOVER_STORAGES_CACHE_EMA_ALPHA_ALIVE_MAX", exact, "Largest weight of a result for a live storage."},
    {"WALG_FAILOVER_STORAGES_CACHE_EMA_ALPHA_ALIVE_MIN", exact, "Smallest weight of a result for a live storage."},
    {"WALG_FAILOVER_STORAGES_CACHE_EMA_ALPHA_DEAD_MAX", exact, "Largest weight of a result for a dead storage."},
    {"WALG_FAILOVER_STORAGES_CACHE_EMA_ALPHA_DEAD_MIN", exact, "Smallest weight of a result for a dead storage."},
    {"WALG_DAEMON_WAL_UPLOAD_TIMEOUT", exact, "How long the daemon may take to push a segment."},
    {"NOTIFY_SOCKET", exact, "systemd's socket for signs of life."},
    {"PGBACKREST_STANZA", exact, "Stanza of a pgBackRest repository."},
    // S3's credentials, which are looked for when a request needs them (docs/storage-s3.md)
    {"AWS_ACCESS_KEY_ID", exact, "Access key."},
    {"AWS_ACCESS_KEY", exact, "Old name of AWS_ACCESS_KEY_ID."},
    {"AWS_SECRET_ACCESS_KEY", exact, "Secret of the access key.", true},
    {"AWS_SECRET_KEY", exact, "Old name of AWS_SECRET_ACCESS_KEY.", true},
    {"AWS_SESSION_TOKEN", exact, "Token of temporary credentials.", true},
    {"AWS_SECURITY_TOKEN", exact, "Old name of AWS_SESSION_TOKEN.", true},
    {"AWS_ROLE_ARN", exact, "Role to take on."},
    {"AWS_ROLE_SESSION_NAME", exact, "Name of the session that takes on the role."},
    {"AWS_WEB_IDENTITY_TOKEN_FILE", exact, "File of the token with which the role is taken on."},
    {"AWS_ENDPOINT_URL_STS", exact, "Address of the service that gives temporary credentials."},
    {"AWS_ENDPOINT_URL_KMS", exact, "Address of the service that encrypts the keys of objects (WALG_CSE_KMS_ID)."},
    {"YC_METADATA_ADDR", exact, "Host and port of a Yandex machine's metadata service."},
    {"AWS_PROFILE", exact, "Profile of the credentials file."},
    {"AWS_DEFAULT_PROFILE", exact, "Profile where AWS_PROFILE is not set."},
    {"AWS_SHARED_CREDENTIALS_FILE", exact, "The credentials file."},
    {"AWS_CONFIG_FILE", exact, "The configuration file of Amazon's tools."},
    {"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", exact, "Where a container asks for credentials."},
    {"AWS_CONTAINER_CREDENTIALS_FULL_URI", exact, "Where a container asks for credentials, as a whole address."},
    {"AWS_CONTAINER_AUTHORIZATION_TOKEN", exact, "What a container shows when it asks for credentials.", true},
    {"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", exact, "File of that token."},
    {"AWS_EC2_METADATA_DISABLED", exact, "Do not ask the machine's metadata service for credentials."},
    {"AWS_EC2_METADATA_V1_DISABLED", exact, "Do not ask it without a token either."},
    {"AWS_EC2_METADATA_SERVICE_ENDPOINT", exact, "Address of the machine's metadata service."},
    {"AWS_DEFAULT_OUTPUT", exact, "Output format of Amazon's own tools; without a meaning here."},
    // Google
    {"GS_PREFIX", walg, "The archive's place: gs://bucket/path."},
    {"GOOGLE_APPLICATION_CREDENTIALS", exact, "File of the Google service account."},
    {"GCS_CONTEXT_TIMEOUT", storage, "How long one request may take."},
    {"GCS_NORMALIZE_PREFIX", storage, "Remove a leading slash from object names."},
    {"GCS_ENCRYPTION_KEY", storage, "The customer's key for encryption by the service.", true},
    {"GCS_MAX_CHUNK_SIZE", storage, "Size of one part of an upload."},
    {"GCS_MAX_RETRIES", storage, "How often a failed request is repeated."},
    // Azure
    {"AZ_PREFIX", walg, "The archive's place: azure://container/path."},
    {"AZURE_STORAGE_ACCOUNT", exact, "Storage account."},
    {"AZURE_STORAGE_ACCESS_KEY", exact, "Key of the storage account.", true},
    {"AZURE_STORAGE_SAS_TOKEN", exact, "Shared access signature.", true},
    {"AZURE_ENVIRONMENT_NAME", exact, "Which of Azure's clouds."},
    {"AZURE_ENDPOINT_SUFFIX", exact, "Host name after the account's, where it is another cloud."},
    {"AZURE_BLOB_STORE_API_VERSION", exact, "Version of Azure's interface."},
    {"AZURE_BUFFER_SIZE", storage, "Size of one part of an upload."},
    {"AZURE_MAX_BUFFERS", storage, "How many parts are uploaded at once."},
    {"AZURE_TRY_TIMEOUT", storage, "How long one request may take, in minutes."},
    // Alibaba
    {"OSS_PREFIX", walg, "The archive's place: oss://bucket/path."},
    {"OSS_ACCESS_KEY_ID", exact, "Access key."},
    {"OSS_ACCESS_KEY_SECRET", exact, "Secret of the access key.", true},
    {"OSS_SESSION_TOKEN", exact, "Token of temporary credentials.", true},
    {"OSS_ENDPOINT", exact, "Address of the service."},
    {"OSS_REGION", exact, "Region of the bucket."},
    {"OSS_ROLE_ARN", exact, "Role to take on."},
    {"OSS_ROLE_SESSION_NAME", exact, "Name of the session that takes on the role."},
    {"OSS_SKIP_VALIDATION", exact, "Do not check the bucket before use."},
    {"OSS_MAX_RETRIES", exact, "How often a failed request is repeated."},
    {"OSS_CONNECT_TIMEOUT", exact, "How long connecting may take."},
    {"OSS_UPLOAD_PART_SIZE", exact, "Size of one part of an upload."},
    {"OSS_COPY_PART_SIZE", exact, "Size of one part of a copy."},
    // OpenStack, SSH, files
    {"SWIFT_PREFIX", walg, "The archive's place: swift://container/path."},
    {"OS_AUTH_URL", exact, "Address of OpenStack's identity service."},
    {"OS_USERNAME", exact, "OpenStack user."},
    {"OS_PASSWORD", exact, "Password of the OpenStack user.", true},
    {"OS_TENANT_NAME", exact, "OpenStack project."},
    {"OS_REGION_NAME", exact, "OpenStack region."},
    {"SSH_PREFIX", walg, "The archive's place: ssh://host/path."},
    {"SSH_PORT", exact, "Port of the SSH server."},
    {"SSH_USERNAME", exact, "User on the SSH server."},
    {"SSH_PASSWORD", exact, "Password of that user.", true},
    {"SSH_PRIVATE_KEY_PATH", exact, "File of that user's private key."},
    {"FILE_PREFIX", walg, "The archive's place: a directory."},
});

}  // namespace

std::span<const KnownKey> known_keys() noexcept { return table; }

const KnownKey* find_known_key(std::string_view key) noexcept {
  const bool prefixed = key.starts_with("WALG_") || key.starts_with("WALE_");
  const std::string_view rest = prefixed ? key.substr(5) : key;
  for (const KnownKey& row : table) {
    if (row.spelling == exact ? row.name == key : row.name == rest && (prefixed || row.spelling == storage))
      return &row;
  }
  return nullptr;
}

std::string preferred_name(const KnownKey& key) { return spellings(key).front(); }

std::vector<std::string> spellings(const KnownKey& key) {
  const std::string name(key.name);
  if (key.spelling == exact) return {name};
  std::vector<std::string> all = {"WALG_" + name, "WALE_" + name};
  if (key.spelling == storage) all.push_back(name);
  return all;
}

bool is_library_key(std::string_view key) noexcept {
  return key.starts_with("PG") || key.starts_with("AWS_") || key.starts_with("OS_");
}

}  // namespace seawall::config
