#include "ops/verify_backup.hh"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <set>

#include "archive/files_metadata.hh"
#include "archive/layout.hh"
#include "archive/manifest.hh"
#include "archive/sentinel.hh"
#include "archive/wal_e.hh"
#include "base/work.hh"
#include "ops/part_checker.hh"
#include "ops/restore_chain.hh"
#include "pipeline/object_reader.hh"

namespace seawall::ops {
namespace {

constexpr std::string_view parts_prefix = "tar_partitions/";

/// Digests what passes.
class DigestSink final : public Sink {
 public:
  void write(Bytes data) override { digester_.update(data); }
  Digest value() const { return digester_.value(); }

 private:
  Digester digester_;
};

class BackupVerification {
 public:
  BackupVerification(const pipeline::Repository& repository, const std::string& backup, unsigned threads,
                     Findings& findings, const Run& run)
      : repository_(repository),
        backup_(backup),
        folder_(std::string(archive::backups_folder) + backup + "/"),
        threads_(threads),
        findings_(findings),
        run_(run) {}

  BackupReading verify();

 private:
  /// Runs a step; what it throws becomes a finding about `object`.
  template <class Step>
  bool guarded(const std::string& object, Step&& step) {
    try {
      step();
      return true;
    } catch (const Error& error) {
      run_.check();
      findings_.add(error, object);
      return false;
    }
  }
  std::string name(std::string_view in_folder) const { return folder_ + std::string(in_folder); }
  bool has_part(std::string_view stem) const;

  void list();
  void read_sentinel();
  void read_metadata();
  void read_manifest();
  void read_lists();
  void check_objects();
  void check_volumes();
  bool needs_label() const;
  void check_plain(const std::string& in_folder, const archive::ManifestObject& recorded);
  void read_part(const std::string& in_folder, const Run& run);
  void read_parts();
  void read_control(const std::string& content, const std::string& object);
  void check_came();
  std::string first_missing() const;
  void check_chain();

  const pipeline::Repository& repository_;
  const std::string backup_;
  const std::string folder_;
  const unsigned threads_;
  Findings& findings_;
  const Run& run_;

  std::map<std::string, storage::ObjectInfo, std::less<>> objects_;  // by name under the backup's folder
  std::optional<archive::Sentinel> sentinel_;
  Digest sentinel_digest_;
  std::optional<archive::Manifest> manifest_;
  std::set<std::string, std::less<>> listed_parts_;
  std::string lists_key_;
  BackupContent content_;
  std::set<std::string, std::less<>> wrong_size_;
  std::atomic<bool> unread_parts_{false};
  std::atomic<std::uint64_t> stored_bytes_{0}, objects_read_{0};
};

BackupReading BackupVerification::verify() {
  list();
  const std::string sentinel = archive::sentinel_object(backup_);
  if (!guarded(sentinel, [&] { read_sentinel(); })) return {.objects = 1};
  read_metadata();
  read_manifest();
  read_lists();
  check_objects();
  read_parts();
  check_came();
  check_chain();
  return {.objects = objects_read_,
          .stored_bytes = stored_bytes_,
          .raw_bytes = content_.raw_bytes,
          .pages = content_.pages};
}

void BackupVerification::list() {
  const std::string prefix = repository_.key(folder_);
  repository_.store->list(
      {.prefix = prefix},
      [&](const storage::ObjectInfo& object) {
        objects_.emplace(object.key.substr(prefix.size()), object);
        return true;
      },
      run_.stop);
}

bool BackupVerification::has_part(std::string_view stem) const {
  const std::string wanted = std::string(parts_prefix) + std::string(stem);
  const auto found = objects_.lower_bound(wanted);
  return found != objects_.end() && found->first.starts_with(wanted);
}

void BackupVerification::read_sentinel() {
  const std::string object = archive::sentinel_object(backup_);
  const auto text = pipeline::try_get(repository_, object, run_.stop);
  if (!text) throw Error(Errc::not_found, "the sentinel is not there");
  sentinel_ = archive::parse_sentinel(*text, object);
  sentinel_digest_ = digest_of(bytes_of(*text));
  content_.is_delta = sentinel_->is_delta();
  content_.start = sentinel_->start_lsn.value_or(archive::Lsn{});
  stored_bytes_ += text->size();
  ++objects_read_;
}

void BackupVerification::read_metadata() {
  const std::string object = archive::metadata_object(backup_);
  guarded(object, [&] {
    const auto text = pipeline::try_get(repository_, object, run_.stop);
    if (!text) {
      findings_.add(Soundness::whole, object, "it is not there; the backup restores without");
      return;
    }
    archive::parse_metadata(*text, object);
    stored_bytes_ += text->size();
    ++objects_read_;
  });
}

void BackupVerification::read_manifest() {
  const std::string object = archive::manifest_object(backup_);
  guarded(object, [&] {
    const auto source = repository_.store->try_open(repository_.key(object), {}, run_.stop);
    if (source == nullptr) return;
    manifest_ = archive::read_manifest(
        *source, object, [&](const archive::ManifestObject& part, const archive::ManifestMember& member) {
          content_.members[part.name].insert_or_assign(MemberSet::key_of(member.name),
                                                       BackupContent::Recorded{member.bytes, member.digest});
        });
    for (const archive::ManifestObject& part : manifest_->objects) {
      if (part.name.starts_with(parts_prefix)) content_.members[part.name];
    }
    if (manifest_->sentinel && *manifest_->sentinel != sentinel_digest_) {
      findings_.add(Soundness::damaged, archive::sentinel_object(backup_),
                    "it does not hold the bytes that were written");
    }
    ++objects_read_;
  });
}

/// What should be there, by the list of files.
void BackupVerification::read_lists() {
  if (sentinel_->files_metadata_disabled) return;
  lists_key_ = archive::files_metadata_object(backup_);
  auto source = repository_.store->try_open(repository_.key(lists_key_), {}, run_.stop);
  if (source == nullptr && sentinel_->has_files) {
    lists_key_ = archive::sentinel_object(backup_);
    source = repository_.store->try_open(repository_.key(lists_key_), {}, run_.stop);
  }
  if (source == nullptr) {
    const Soundness soundness = content_.is_delta ? Soundness::incomplete : Soundness::whole;
    findings_.add(soundness, lists_key_, "the list of the backup's files is not there");
    return;
  }
  guarded(lists_key_, [&] {
    MemberSet files;
    archive::FilesMetadataEvents events;
    events.file = [&](const archive::FileEntry& entry) {
      if (is_utility(without_root(entry.name))) return;
      std::uint8_t flags = 0;
      if (content_.is_delta && entry.is_incremented) flags |= MemberSet::incremented;
      if (content_.is_delta && entry.is_skipped) flags |= MemberSet::skipped;
      files.add(entry.name, flags);
      if (!entry.corrupt_blocks.empty()) content_.known_bad[std::string(entry.name)] = entry.corrupt_blocks;
    };
    events.part = [&](std::string_view part) {
      if (!part.empty()) listed_parts_.emplace(part);
    };
    archive::read_files_metadata(*source, lists_key_, events);
    files.seal();
    if (files.size() > 0) content_.files = std::move(files);
    ++objects_read_;
  });
}

/// WAL-E's: numbered from 0 without a gap. What else lies there a restore passes over.
void BackupVerification::check_volumes() {
  std::vector<std::uint32_t> numbers;
  std::erase_if(objects_, [&](const auto& entry) {
    const std::string& in_folder = entry.first;
    if (!in_folder.starts_with(parts_prefix)) return false;
    const auto number = archive::wal_e_part_number(std::string_view(in_folder).substr(parts_prefix.size()));
    if (number) {
      numbers.push_back(*number);
    } else {
      findings_.add(Soundness::whole, name(in_folder), "it is no volume of the backup");
    }
    return !number;
  });
  for (const std::uint64_t missing : archive::wal_e_missing_parts(numbers)) {
    findings_.add(Soundness::incomplete,
                  name(std::string(parts_prefix) + archive::wal_e_part_name(static_cast<unsigned>(missing))),
                  "the volume is not there");
  }
}

bool BackupVerification::needs_label() const {
  const auto start = archive::parse_wal_e_name(backup_);
  if (!start) return true;
  const std::string sentinel = archive::sentinel_object(backup_);
  const auto text = pipeline::try_get(repository_, sentinel, run_.stop);
  return !text || !archive::parse_wal_e_stop(*text, sentinel).is_start(*start);
}

/// Presence and sizes; the digests of what is no part.
void BackupVerification::check_objects() {
  for (const std::string& part : listed_parts_) {
    if (!has_part(part)) {
      findings_.add(Soundness::incomplete, name(std::string(parts_prefix) + part), "the part is not there");
    }
  }
  if (!has_part("")) findings_.add(Soundness::incomplete, name(parts_prefix), "the backup has no parts");
  if (archive::parse_wal_e_name(backup_)) check_volumes();
  if (!manifest_) return;
  std::set<std::string_view> recorded;
  for (const archive::ManifestObject& object : manifest_->objects) {
    recorded.insert(object.name);
    const auto found = objects_.find(object.name);
    if (found == objects_.end()) {
      const std::string_view stem =
          std::string_view(object.name).substr(std::min(parts_prefix.size(), object.name.size()));
      const bool said = std::any_of(listed_parts_.begin(), listed_parts_.end(),
                                    [&](const std::string& part) { return stem == part || part.starts_with(stem); });
      if (!said) findings_.add(Soundness::incomplete, name(object.name), "the object is not there");
    } else if (found->second.bytes != object.bytes) {
      findings_.add(Soundness::damaged, name(object.name),
                    fmt::format("it has {} bytes, but {} were stored", found->second.bytes, object.bytes));
      wrong_size_.insert(object.name);
    } else if (!object.name.starts_with(parts_prefix)) {
      check_plain(object.name, object);
    }
  }
  for (const auto& [in_folder, object] : objects_) {
    if (in_folder.starts_with(parts_prefix) && !recorded.contains(in_folder)) {
      findings_.add(Soundness::damaged, name(in_folder), "it lies among the parts but does not belong to the backup");
    }
  }
}

void BackupVerification::check_plain(const std::string& in_folder, const archive::ManifestObject& recorded) {
  // It changes when a backup is marked.
  if (name(in_folder) == archive::metadata_object(backup_)) return;
  guarded(name(in_folder), [&] {
    const auto source = repository_.store->try_open(repository_.key(name(in_folder)), {}, run_.stop);
    if (source == nullptr) throw Error(Errc::not_found, "the object is not there");
    Digester digester;
    AlignedBuffer buffer(std::size_t{64} << 10);
    while (const std::size_t n = source->read(buffer.span())) digester.update(buffer.span().first(n));
    if (digester.value() != recorded.digest) throw Error(Errc::corrupt, "it does not hold the bytes that were written");
    stored_bytes_ += recorded.bytes;
  });
}

void BackupVerification::read_control(const std::string& content, const std::string& object) {
  guarded(object, [&] {
    const postgres::ControlFile control = postgres::parse_control_file(bytes_of(content), "global/pg_control");
    if (sentinel_->system_identifier && control.system_identifier != *sentinel_->system_identifier) {
      throw Error(Errc::foreign, fmt::format("global/pg_control is of the cluster with system identifier {}, the "
                                             "backup of {}",
                                             control.system_identifier, *sentinel_->system_identifier));
    }
    content_.control = control;
  });
}

void BackupVerification::read_part(const std::string& in_folder, const Run& run) {
  const storage::ObjectInfo& object = objects_.find(in_folder)->second;
  const std::string shown = name(in_folder);
  if (wrong_size_.contains(in_folder)) {
    unread_parts_ = true;
    return;
  }
  PartChecker checker(content_, in_folder, shown, findings_);
  const bool read = guarded(shown, [&] {
    std::optional<Digest> digest;
    if (manifest_) {
      for (const archive::ManifestObject& each : manifest_->objects) {
        if (each.name == in_folder) digest = each.digest;
      }
    }
    archive::TarReader tar(checker, shown);
    pipeline::pull(repository_, object, pipeline::codec_of_key(object.key), tar, run.stop, digest);
    tar.finish();
    checker.finish();
  });
  if (!read) unread_parts_ = true;
  stored_bytes_ += object.bytes;
  ++objects_read_;
  run.progress.advance(object.bytes);
  if (read && checker.control_file() && !content_.control) read_control(*checker.control_file(), shown);
}

/// pg_control first: it says whether pages have checksums.
void BackupVerification::read_parts() {
  std::vector<std::string> parts;
  for (const auto& [in_folder, object] : objects_) {
    if (!in_folder.starts_with(parts_prefix)) continue;
    if (in_folder.starts_with(std::string(parts_prefix) + std::string(archive::control_part))) {
      read_part(in_folder, run_);
    } else {
      parts.push_back(in_folder);
    }
  }
  if (!content_.control && !parts.empty()) {
    findings_.add(Soundness::whole, name(parts_prefix),
                  "without pg_control.tar nobody knows whether pages have checksums; "
                  "they were not looked at");
  }
  // Largest first: otherwise one straggler keeps the other workers idle at the end.
  std::stable_sort(parts.begin(), parts.end(), [&](const std::string& a, const std::string& b) {
    return objects_.find(a)->second.bytes > objects_.find(b)->second.bytes;
  });
  std::atomic<std::size_t> next{0};
  WorkerGroup workers(run_.stop);
  for (std::size_t i = 0; i < std::min<std::size_t>(threads_, parts.size()); ++i) {
    workers.start([&](std::stop_token stop) {
      const Run run = run_.with(stop);
      for (std::size_t part; (part = next++) < parts.size();) {
        run.check();
        read_part(parts[part], run);
      }
    });
  }
  workers.join();
}

/// Of a part that could not be read nobody knows what it had.
void BackupVerification::check_came() {
  if (unread_parts_) return;
  if (!content_.saw_control) {
    findings_.add(Soundness::incomplete, name(parts_prefix) + std::string(archive::control_part),
                  "no part brought global/pg_control");
  }
  if (!content_.saw_label && needs_label()) {
    findings_.add(Soundness::incomplete, name(parts_prefix) + std::string(archive::label_part),
                  "no part brought backup_label");
  }
  if (!content_.files) return;
  const auto missing = [](MemberSet::Key, std::uint8_t flags) {
    return (flags & (MemberSet::restored | MemberSet::skipped)) == 0;
  };
  const std::size_t count = content_.files->count(missing);
  if (count == 0) return;
  findings_.add(Soundness::incomplete, lists_key_,
                fmt::format("{} of the files that it lists are in no part, {} among them", count, first_missing()));
}

std::string BackupVerification::first_missing() const {
  std::string first = "?";
  const auto source = repository_.store->try_open(repository_.key(lists_key_), {}, run_.stop);
  if (source == nullptr) return first;
  archive::FilesMetadataEvents events;
  events.file = [&](const archive::FileEntry& entry) {
    const auto flags = content_.files->find(entry.name);
    if (first == "?" && flags && (*flags & (MemberSet::restored | MemberSet::skipped)) == 0) first = entry.name;
  };
  archive::read_files_metadata(*source, lists_key_, events);
  return first;
}

/// What a restore would find missing among the backups below, whose own content is verified by itself.
void BackupVerification::check_chain() {
  if (!content_.is_delta || findings_.worst() != Soundness::whole) return;
  guarded(archive::sentinel_object(backup_),
          [&] { RestoreChain::load(repository_, backup_, RestoreFilter(""), "", run_); });
}

}  // namespace

BackupReading verify_backup(const pipeline::Repository& repository, const std::string& backup, unsigned threads,
                            Findings& findings, const Run& run) {
  return BackupVerification(repository, backup, threads, findings, run).verify();
}

}  // namespace seawall::ops
