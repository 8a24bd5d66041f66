#include "ops/storage_tools.hh"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <deque>

#include "base/file.hh"
#include "base/text.hh"
#include "ops/wal_download.hh"
#include "pipeline/object_reader.hh"
#include "pipeline/object_writer.hh"

namespace seawall::ops {
namespace {

constexpr std::size_t copy_bytes = std::size_t{512} << 10;
constexpr mode_t got_mode = 0640;

/// "./dir//x/" is "dir/x".
std::string clean_name(std::string_view name) {
  std::string clean;
  for (const std::string_view part : split(name, '/')) {
    if (part.empty() || part == ".") continue;
    if (part == "..") throw Error(Errc::usage, fmt::format("'{}' leads out of the archive", name));
    if (!clean.empty()) clean += '/';
    clean += part;
  }
  return clean;
}

std::string object_name(std::string_view name) {
  std::string clean = clean_name(name);
  if (clean.empty()) throw Error(Errc::usage, fmt::format("'{}' names no object", name));
  return clean;
}

/// "" of the archive itself, else with a slash at the end.
std::string folder_name(std::string_view name) {
  std::string clean = clean_name(name);
  return clean.empty() ? clean : clean + "/";
}

Error absent(const pipeline::Repository& repository, std::string_view name) {
  return {Errc::not_found,
          fmt::format("object '{}' is not in {}", repository.key(name), repository.store->description())};
}

std::ptrdiff_t depth(const std::string& name) { return std::count(name.begin(), name.end(), '/'); }

StoredEntry entry_of(const storage::ObjectInfo& object, std::size_t cut, bool with_version) {
  return {.name = object.key.substr(cut),
          .bytes = object.bytes,
          .modified = object.modified,
          .version = with_version ? object.version : "",
          .latest = object.latest,
          .deleted = object.deleted};
}

void throw_failures(const std::vector<storage::RemoveFailure>& failures) {
  if (failures.empty()) return;
  throw Error(Errc::denied, fmt::format("{} objects could not be removed, {} among them: {}", failures.size(),
                                        failures.front().key, failures.front().reason));
}

/// Removes in batches what listings find, so that a folder may be of any size.
class Removal {
 public:
  Removal(const pipeline::Repository& repository, bool all_versions, const Run& run)
      : store_(*repository.store), versions_(all_versions && store_.keeps_versions()), run_(run) {}

  std::size_t removed() const noexcept { return removed_; }

  void object(const std::string& key) {
    if (!versions_) {
      if (store_.stat(key, run_.stop)) found_.push_back({key, {}});
      return flush();
    }
    store_.list(
        {.prefix = key, .all_versions = true},
        [&](const storage::ObjectInfo& each) {
          if (each.key != key) return false;  // longer names follow
          found_.push_back({each.key, each.version});
          return true;
        },
        run_.stop);
    flush();
  }

  void folder(const std::string& prefix) {
    std::string after;
    for (bool more = true; more;) {
      more = false;
      store_.list(
          {.prefix = prefix, .start_after = after, .all_versions = versions_},
          [&](const storage::ObjectInfo& each) {
            // All versions of a name are taken together: the next listing begins behind it.
            more = found_.size() >= batch && each.key != after;
            if (more) return false;
            found_.push_back({each.key, each.version});
            after = each.key;
            return true;
          },
          run_.stop);
      flush();
    }
  }

 private:
  static constexpr std::size_t batch = 1000;

  void flush() {
    run_.check();
    if (found_.empty()) return;
    if (versions_) {
      throw_failures(store_.remove_versions(found_, run_.stop));
    } else {
      std::vector<std::string> keys;
      for (storage::ObjectVersion& each : found_) keys.push_back(std::move(each.key));
      throw_failures(store_.remove(keys, run_.stop));
    }
    removed_ += found_.size();
    found_.clear();
  }

  storage::Store& store_;
  const bool versions_;
  const Run& run_;
  std::vector<storage::ObjectVersion> found_;
  std::size_t removed_ = 0;
};

class WholeFile final : public Sink {
 public:
  explicit WholeFile(const FileInMaking& file) : file_(file) {}
  void write(Bytes data) override { write_all(file_.fd(), data, file_.path().native()); }

 private:
  const FileInMaking& file_;
};

void copy_stream(Source& from, Filter& to, const Run& run) {
  while (true) {
    run.check();
    const std::size_t n = from.read(to.space());
    if (n == 0) return;
    to.filled(n);
  }
}

}  // namespace

std::vector<StoredEntry> list_folder(const pipeline::Repository& repository, std::string_view folder, ListForm form,
                                     const Run& run) {
  const std::string name = folder_name(folder);
  const std::string prefix = repository.key(name);
  const bool versions = form.all_versions && repository.store->keeps_versions();
  std::vector<StoredEntry> folders;
  std::vector<StoredEntry> objects;
  repository.store->list(
      {.prefix = prefix, .one_level = !form.recursive, .all_versions = versions},
      [&](const storage::ObjectInfo& object) {
        objects.push_back(entry_of(object, prefix.size(), versions));
        return true;
      },
      [&](std::string_view below) {
        folders.push_back({.name = std::string(below.substr(prefix.size())), .folder = true});
        return true;
      },
      run.stop);
  if (form.recursive) {
    // Level by level, which is WAL-G's order.
    std::stable_sort(objects.begin(), objects.end(),
                     [](const StoredEntry& a, const StoredEntry& b) { return depth(a.name) < depth(b.name); });
  }
  if (folders.empty() && objects.empty() && !name.empty()) {
    const std::string object = name.substr(0, name.size() - 1);
    if (repository.store->stat(repository.key(object), run.stop)) {
      throw Error(Errc::not_found, fmt::format("'{}' is an object and no folder; 'st stat' shows it", object));
    }
  }
  std::move(objects.begin(), objects.end(), std::back_inserter(folders));
  return folders;
}

StoredEntry stat_object(const pipeline::Repository& repository, std::string_view name, const Run& run) {
  const std::string object = object_name(name);
  const auto found = repository.store->stat(repository.key(object), run.stop);
  if (!found) throw absent(repository, object);
  return entry_of(*found, repository.prefix.size(), false);
}

Matches match_names(const pipeline::Repository& repository, std::string_view pattern, const Run& run) {
  const std::string clean = clean_name(pattern);
  if (!glob_match(clean, "")) throw Error(Errc::usage, fmt::format("'{}' is no valid pattern", pattern));
  Matches matches;
  if (clean.empty()) {
    matches.folders.emplace_back();
    return matches;
  }
  const std::vector<std::string_view> parts = split(clean, '/');
  std::deque<std::pair<std::string, std::size_t>> open{{"", 0}};  // a folder, and the part that its content is to match
  for (; !open.empty(); open.pop_front()) {
    const auto [folder, at] = open.front();
    const std::string_view part = parts[at];
    const bool last = at + 1 == parts.size();
    // What stands before the first special character need not be listed.
    const std::string_view fixed = part.substr(0, part.find_first_of("*?[\\"));
    if (!last && fixed.size() == part.size()) {
      open.emplace_back(folder + std::string(part) + "/", at + 1);
      continue;
    }
    const std::string prefix = repository.key(folder);
    repository.store->list(
        {.prefix = prefix + std::string(fixed), .one_level = true},
        [&](const storage::ObjectInfo& object) {
          const std::string name = object.key.substr(prefix.size());
          if (last && glob_match(part, name).value_or(false)) matches.objects.push_back(folder + name);
          return true;
        },
        [&](std::string_view below) {
          const std::string name(below.substr(prefix.size()));
          if (!glob_match(part, std::string_view(name).substr(0, name.size() - 1)).value_or(false)) return true;
          if (last) {
            matches.folders.push_back(folder + name);
          } else {
            open.emplace_back(folder + name, at + 1);
          }
          return true;
        },
        run.stop);
  }
  return matches;
}

void read_object(const pipeline::Repository& repository, std::string_view name, ReadForm form, Sink& to,
                 const Run& run) {
  const std::string object = object_name(name);
  const auto found = repository.store->stat(repository.key(object), run.stop);
  if (!found) throw absent(repository, object);
  const codec::Codec* codec = nullptr;
  if (form.decompress) {
    const std::string_view file = std::string_view(object).substr(object.rfind('/') + 1);
    const std::size_t dot = file.rfind('.');
    const std::string_view suffix = dot == std::string_view::npos ? std::string_view() : file.substr(dot + 1);
    codec = codec::find_codec_by_suffix(suffix);
    if (codec == nullptr) {
      run.log.warning("{}: '.{}' names no compression; the object is given as it is stored", object, suffix);
    }
  }
  if (codec == nullptr) codec = codec::find_codec("none");
  pipeline::Repository as_asked = repository;
  if (!form.decrypt) as_asked.crypter = nullptr;
  if (as_asked.crypter != nullptr || !codec->suffix.empty()) {
    pipeline::pull(as_asked, *found, *codec, to, run.stop);
    return;
  }
  // As it is stored, which may be nothing at all.
  const auto source = repository.store->try_open(found->key, {.if_version = found->version}, run.stop);
  if (source == nullptr) throw absent(repository, object);
  AlignedBuffer buffer(copy_bytes);
  while (const std::size_t n = source->read(buffer.span())) {
    run.check();
    to.write(buffer.span().first(n));
  }
}

void get_object(const pipeline::Repository& repository, std::string_view name, const std::filesystem::path& path,
                ReadForm form, const Run& run) {
  std::filesystem::path target = path;
  if (std::filesystem::is_directory(target)) {
    const std::string object = object_name(name);
    target /= object.substr(object.rfind('/') + 1);
  }
  // Found again when the file is given its name; asked here so that nothing is read for nothing.
  if (std::filesystem::exists(std::filesystem::symlink_status(target))) throw system_error(EEXIST, target.native());
  FileInMaking file(temporary_beside(target));
  WholeFile sink(file);
  read_object(repository, name, form, sink, run);
  if (::fchmod(file.fd().get(), got_mode) != 0) throw system_error(errno, file.path().native());
  sync_file(file.fd(), file.path().native());
  file.move_to(target);
}

std::string put_object(const pipeline::Repository& repository, Source& from, std::string_view name, WriteForm form,
                       std::optional<std::uint64_t> expected_bytes, const Run& run) {
  pipeline::Repository as_asked = repository;
  if (!form.encrypt) as_asked.crypter = nullptr;
  if (!form.compress) as_asked.codec = codec::find_codec("none");
  const std::string object = object_name(name);
  std::string stored = pipeline::with_suffix(object, *as_asked.codec);
  const auto taken = [&] {
    return Error(Errc::exists, fmt::format("object '{}' exists already; -f overwrites it", repository.key(stored)));
  };
  if (!form.overwrite && repository.store->stat(repository.key(stored), run.stop)) throw taken();
  pipeline::EncodedObjectWriter writer(as_asked, object, {.only_if_absent = !form.overwrite},
                                       {.key = stored, .size_hint = expected_bytes}, run.stop);
  copy_stream(from, writer.filter(), run);
  if (!writer.commit().created) throw taken();
  return stored;
}

std::size_t remove_objects(const pipeline::Repository& repository, std::string_view name, bool all_versions,
                           const Run& run) {
  const std::string object = clean_name(name);
  if (object.empty()) {
    throw Error(Errc::usage, fmt::format("'{}' is the whole archive; 'delete everything' removes that", name));
  }
  const std::string key = repository.key(object);
  Removal removal(repository, all_versions, run);
  if (!name.ends_with('/')) removal.object(key);
  if (removal.removed() == 0) removal.folder(key + "/");
  if (removal.removed() == 0) {
    throw Error(Errc::not_found, fmt::format("there is neither an object nor a folder '{}' in {}", key,
                                             repository.store->description()));
  }
  return removal.removed();
}

void remove_version(const pipeline::Repository& repository, std::string_view name, const std::string& version,
                    const Run& run) {
  const std::vector<storage::ObjectVersion> one{{repository.key(object_name(name)), version}};
  throw_failures(repository.store->remove_versions(one, run.stop));
}

}  // namespace seawall::ops
