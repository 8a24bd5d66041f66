#include "ops/verified_log.hh"

#include <fmt/format.h>
#include <unistd.h>

#include "base/time_text.hh"
#include "pipeline/object_reader.hh"

namespace seawall::ops {
namespace {

constexpr auto save_every = std::chrono::seconds(30);

}  // namespace

VerifiedLog::VerifiedLog(const pipeline::Repository& repository, const Run& run)
    : repository_(repository), run_(run), saved_(run.clock.steady()) {
  const std::string folder = repository.key(archive::verified_folder);
  std::vector<std::string> keys;
  repository.store->list(
      {.prefix = folder},
      [&](const storage::ObjectInfo& object) {
        keys.push_back(object.key);
        return true;
      },
      run.stop);
  for (const std::string& key : keys) {
    const std::string name = key.substr(repository.prefix.size());
    try {
      const auto text = pipeline::try_get(repository, name, run.stop);
      if (!text) continue;  // another run replaced it meanwhile
      verified_.merge(archive::parse_verified(*text, name));
      written_.push_back(key);
    } catch (const Error& error) {
      if (error.code() != Errc::corrupt && error.code() != Errc::unsupported) throw;
      run.log.warning("{}; it is left alone", error.what());
    }
  }
}

archive::Verified VerifiedLog::known() const {
  std::lock_guard lock(mutex_);
  return verified_;
}

void VerifiedLog::add_backup(std::string_view name, Time stored, Time at) {
  std::lock_guard lock(mutex_);
  verified_.add_backup(name, stored, at);
  changed_ = true;
}

void VerifiedLog::add_wal(archive::Timeline timeline, archive::NumberRange range, Time at) {
  std::lock_guard lock(mutex_);
  verified_.add_wal(timeline, range, at);
  changed_ = true;
}

void VerifiedLog::save(bool now) {
  std::lock_guard lock(mutex_);
  if (!changed_ || failed_ || (!now && run_.clock.steady() - saved_ < save_every)) return;
  saved_ = run_.clock.steady();
  try {
    write();
    changed_ = false;
  } catch (const Error& error) {
    failed_ = true;
    run_.log.warning("what was verified is not remembered: {}", error.what());
  }
}

/// Also after a stop: what was read then need not be read again.
void VerifiedLog::write() {
  const std::string key = repository_.key(archive::verified_folder) +
                          fmt::format("{}_{}_{}.json", compact_utc(run_.clock.wall()), ::getpid(), ++count_);
  const std::string text = archive::print_verified(verified_);
  repository_.store->put(key, bytes_of(text), {.only_if_absent = true}, {});
  repository_.store->remove(written_, {});
  written_ = {key};
}

}  // namespace seawall::ops
