#include "postgres/base_backup.hh"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <optional>

#include "base/text.hh"
#include "postgres/libpq.hh"
#include "postgres/session.hh"

namespace seawall::postgres {
namespace {

constexpr int parenthesised_since = 150000;
constexpr int manifest_since = 130000;

/// What is between quotes in a command of the replication protocol.
std::string sql_quoted(std::string_view text) {
  std::string result = "'";
  for (const char c : text) {
    if (c == '\'') result += c;
    result += c;
  }
  return result + "'";
}

[[noreturn]] void fail(std::string_view what) {
  throw Error(Errc::db, fmt::format("take a base backup: the server sent {}", what));
}

archive::Lsn lsn_of(const Row& row) {
  const auto lsn = archive::parse_lsn(row.text(0));
  if (!lsn) fail(fmt::format("{} as an LSN", json_string(row.text(0))));
  return *lsn;
}

/// The text up to the next NUL, which is taken out of `rest`.
std::string_view take_c_string(std::string_view& rest) {
  const std::size_t end = rest.find('\0');
  if (end == std::string_view::npos) fail("the name of an archive without its end");
  const std::string_view text = rest.substr(0, end);
  rest.remove_prefix(end + 1);
  return text;
}

/// "16385.tar" of a tablespace, "base.tar" of the data directory.
std::string_view oid_of_archive(std::string_view name) {
  if (!name.ends_with(".tar")) fail(fmt::format("an archive named {}", json_string(name)));
  name.remove_suffix(4);
  if (name == "base") return {};
  if (!parse_int<std::uint32_t>(name)) fail(fmt::format("an archive named {}", json_string(name)));
  return name;
}

/// The answer to BASE_BACKUP as events: where it starts, the tablespaces, the archives, where it ends.
class BackupAnswer final : public Connection::Answer {
 public:
  BackupAnswer(int version, BaseBackupEvents& events)
      : one_stream_(version >= parenthesised_since), events_(events), messages_(events) {}

  void row(std::size_t set, const Row& row) override {
    if (set == 0) {
      start_.lsn = lsn_of(row);
      start_.timeline = static_cast<archive::Timeline>(row.integer(1));
    } else if (set == 1) {
      const auto oid = row.value(0);
      archives_.emplace_back(oid.value_or(std::string_view{}));
      if (oid) start_.tablespaces.push_back({std::string(*oid), row.text(1)});
    } else {
      end_ = lsn_of(row);
    }
  }

  void begin_copy() override {
    if (copies_ == 0) events_.started(start_);
    if (!one_stream_ && !is_manifest()) events_.begin_archive(archives_[copies_]);
    if (!one_stream_ && is_manifest()) events_.begin_manifest();
  }

  void copied(Bytes data) override {
    if (one_stream_) {
      messages_.message(data);
    } else if (is_manifest()) {
      events_.manifest(data);
    } else {
      events_.data(data);
    }
  }

  void end_copy() override {
    if (one_stream_) {
      messages_.end();
    } else if (is_manifest()) {
      events_.end_manifest();
    } else {
      events_.end_archive();
    }
    ++copies_;
  }

  void waiting() override { events_.waiting(); }

  archive::Lsn end() const {
    if (!end_) fail("no end of the backup");
    return *end_;
  }

 private:
  bool is_manifest() const { return copies_ >= archives_.size(); }

  const bool one_stream_;
  BaseBackupEvents& events_;
  ArchiveMessages messages_;
  BaseBackupStart start_;
  std::vector<std::string> archives_;  // in the order of their streams until 14, the OID of each
  std::size_t copies_ = 0;
  std::optional<archive::Lsn> end_;
};

class OneRow final : public Connection::Answer {
 public:
  explicit OneRow(std::function<void(const Row&)> read) : read_(std::move(read)) {}
  void row(std::size_t /*set*/, const Row& row) override { read_(row); }
  void begin_copy() override { fail("a copy where none belongs"); }
  void copied(Bytes /*data*/) override {}
  void end_copy() override {}
  void waiting() override {}

 private:
  std::function<void(const Row&)> read_;
};

}  // namespace

std::string base_backup_command(int version, const BaseBackupOptions& options) {
  std::uint64_t kib = 0;
  if (options.bytes_per_second > 0) {
    kib = std::clamp(options.bytes_per_second / 1024, least_rate_kib, most_rate_kib);
  }
  if (version >= parenthesised_since) {
    return fmt::format("BASE_BACKUP (LABEL {}, CHECKPOINT 'fast'{}, TABLESPACE_MAP, WAIT false, MANIFEST 'yes'{})",
                       sql_quoted(options.label), kib > 0 ? fmt::format(", MAX_RATE {}", kib) : "",
                       options.verify_checksums ? "" : ", VERIFY_CHECKSUMS false");
  }
  const bool unverified = version >= verification_since && !options.verify_checksums;
  return fmt::format("BASE_BACKUP LABEL {} FAST{} NOWAIT TABLESPACE_MAP{}{}", sql_quoted(options.label),
                     kib > 0 ? fmt::format(" MAX_RATE {}", kib) : "",
                     version >= manifest_since ? " MANIFEST 'yes'" : "", unverified ? " NOVERIFY_CHECKSUMS" : "");
}

void ArchiveMessages::leave() {
  if (state_ == State::archive) to_.end_archive();
  if (state_ == State::manifest) to_.end_manifest();
}

void ArchiveMessages::message(Bytes data) {
  if (data.empty()) fail("an empty message");
  const char kind = static_cast<char>(data[0]);
  data = data.subspan(1);
  switch (kind) {
    case 'n': {
      if (state_ == State::manifest) fail("an archive after the manifest");
      leave();
      std::string_view names = text_of(data);
      const std::string_view name = take_c_string(names);
      take_c_string(names);
      state_ = State::archive;
      return to_.begin_archive(oid_of_archive(name));
    }
    case 'd':
      if (state_ == State::before) fail("content before the name of its archive");
      return state_ == State::archive ? to_.data(data) : to_.manifest(data);
    case 'm':
      if (state_ != State::archive) fail("a manifest where none belongs");
      leave();
      state_ = State::manifest;
      return to_.begin_manifest();
    case 'p':
      return;  // how far it is: nobody asked for the whole
    default:
      return fail(fmt::format("a message of kind {}", static_cast<int>(kind)));
  }
}

void ArchiveMessages::end() {
  if (state_ == State::before) fail("no archive");
  leave();
  state_ = State::before;
}

struct BaseBackup::Live {
  Connection connection;
};

BaseBackup::BaseBackup(const Session& session, const Run& run)
    : live_(new Live{Connection({.host = session.host(), .port = session.port(), .replication = true}, run)}) {}

BaseBackup::~BaseBackup() = default;

std::uint64_t BaseBackup::system_identifier() {
  std::uint64_t identifier = 0;
  OneRow answer([&](const Row& row) {
    const auto number = parse_int<std::uint64_t>(row.text(0));
    if (!number) fail(fmt::format("{} as its system identifier", json_string(row.text(0))));
    identifier = *number;
  });
  live_->connection.command({.activity = "identify the server", .sql = "IDENTIFY_SYSTEM"}, answer);
  return identifier;
}

archive::Lsn BaseBackup::receive(const BaseBackupOptions& options, BaseBackupEvents& events) {
  Connection& connection = live_->connection;
  BackupAnswer answer(connection.server_version(), events);
  connection.command(
      {.activity = "take a base backup", .sql = base_backup_command(connection.server_version(), options)}, answer);
  return answer.end();
}

}  // namespace seawall::postgres
