#include "storage/file/file_store.hh"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <deque>
#include <map>
#include <mutex>
#include <set>
#include <utility>

#include "base/error.hh"
#include "base/file.hh"
#include "storage/file/directories.hh"
#include "storage/file/listing.hh"
#include "storage/file/temp_file.hh"
#include "storage/file/temp_name.hh"
#include "storage/request.hh"

namespace seawall::storage {
namespace {

class ObjectSource final : public Source {
 public:
  ObjectSource(Fd fd, Extent rest, std::string label, std::stop_token stop)
      : fd_(std::move(fd)), rest_(rest), label_(std::move(label)), stop_(std::move(stop)) {}

  std::size_t read(MutableBytes into) override {
    check_stop(stop_, "read", label_);
    const std::size_t wanted = std::min<std::uint64_t>(into.size(), rest_.length);
    if (wanted == 0) return 0;
    const std::size_t n = read_at(fd_, into.first(wanted), rest_.offset, label_);
    if (n == 0) {
      throw Error(Errc::corrupt, fmt::format("{}: ends at byte {}, {} before its size when it was opened", label_,
                                             rest_.offset, rest_.length));
    }
    rest_.offset += n;
    rest_.length -= n;
    return n;
  }

 private:
  Fd fd_;
  Extent rest_;
  std::string label_;
  std::stop_token stop_;
};

class FileStore final : public Store {
 public:
  FileStore(Fd root, std::string description, Clock& clock)
      : directories_(std::move(root), description, clock), description_(std::move(description)), clock_(clock) {}

  std::string description() const override { return description_; }
  UploadShape upload_shape(std::optional<std::uint64_t>) const override { return {}; }
  std::optional<ObjectInfo> stat(std::string_view key, std::stop_token stop) override;
  std::unique_ptr<Source> try_open(std::string_view key, const ReadOptions& options, std::stop_token stop) override;
  void settle(std::string_view key, std::stop_token) override { existing(key); }
  PutResult put(std::string_view key, Bytes data, const PutOptions& options, std::stop_token stop) override;
  Upload begin(std::string_view key, const PutOptions& options, std::stop_token stop) override;
  Part put_part(const Upload& upload, Part part, Bytes data, std::stop_token stop) override;
  PutResult complete(const Upload& upload, std::span<const Part> parts, std::stop_token stop) override;
  void abort(const Upload& upload) noexcept override;
  using Store::list;
  void list(const ListOptions& options, const Visit& visit, const VisitPrefix& visit_prefix,
            std::stop_token stop) override;
  PutResult copy(std::string_view from, std::string_view to, const PutOptions& options, std::stop_token stop) override;
  std::vector<RemoveFailure> remove(std::span<const std::string> keys, std::stop_token stop) override;

 private:
  /// An object on its way in. Without publish() nothing stays of it, not even the directories it needed.
  struct Draft {
    Draft(Directories& all, std::string in, Fd directory, Fd fd, const std::string& name, const std::string& temp,
          std::string label)
        : directories(all),
          parent(std::move(in)),
          id(parent + temp),
          file(std::move(directory), std::move(fd), name, temp, std::move(label)) {}
    ~Draft() {
      if (file.published()) return;
      file.discard();
      directories.prune(parent);
    }
    Draft(const Draft&) = delete;
    Draft& operator=(const Draft&) = delete;

    Directories& directories;
    std::string parent;  // "some/where/"
    std::string id;      // the temporary name, from the root on
    TempFile file;
    std::mutex mutex;
    std::map<unsigned, Part> parts;
  };
  struct Pending {
    // Shared with the threads that are in put_part() while another aborts.
    std::shared_ptr<Draft> draft;
    std::optional<PutResult> finished;  // the answer, for whoever asks again
  };

  std::string label(std::string_view key) const { return fmt::format("{}/{}", description_, key); }
  void check_writable(std::string_view operation, std::string_view key, const PutOptions& options,
                      const std::stop_token& stop) const;
  std::optional<ObjectInfo> look(std::string_view key) const;
  std::shared_ptr<Draft> create(std::string_view key);
  PutResult publish(Draft& draft, std::string_view key, std::uint64_t bytes, const PutOptions& options,
                    const std::stop_token& stop);
  std::optional<PutResult> existing(std::string_view key);
  std::shared_ptr<Draft> draft_of(const Upload& upload);
  void check_parts(Draft& draft, std::string_view key, std::span<const Part> parts) const;
  void keep_answer(const Upload& upload, const PutResult& result);

  Directories directories_;
  std::string description_;
  Clock& clock_;
  std::mutex mutex_;  // of what follows
  std::map<std::string, Pending> uploads_;
  std::deque<std::string> answered_;  // finished uploads whose answer is kept, oldest first
};

std::optional<ObjectInfo> FileStore::look(std::string_view key) const {
  if (is_temp_name(key)) return std::nullopt;  // what is being written is not there yet
  struct stat status {};
  std::string path(key);
  if (::fstatat(directories_.root().get(), path.c_str(), &status, 0) != 0) {
    if (errno == ENOENT || errno == ENOTDIR || errno == ENAMETOOLONG) {
      directories_.check_root();
      return std::nullopt;
    }
    throw system_error(errno, fmt::format("stat {}", label(key)));
  }
  if (!S_ISREG(status.st_mode)) return std::nullopt;
  return info_of(std::move(path), status);
}

std::optional<ObjectInfo> FileStore::stat(std::string_view key, std::stop_token stop) {
  check_stop(stop, "stat", key);
  check_key(key);
  return look(key);
}

std::unique_ptr<Source> FileStore::try_open(std::string_view key, const ReadOptions& options, std::stop_token stop) {
  check_stop(stop, "open", key);
  check_key(key);
  if (is_temp_name(key)) return nullptr;
  std::string path(key);
  // O_NONBLOCK: a FIFO of that name must not hold us up; regular files do not care.
  Fd fd(::openat(directories_.root().get(), path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd) {
    if (errno == ENOENT || errno == ENOTDIR || errno == ENAMETOOLONG) {
      directories_.check_root();
      return nullptr;
    }
    throw system_error(errno, fmt::format("open {}", label(key)));
  }
  const struct stat status = stat_of(fd, label(key));
  if (!S_ISREG(status.st_mode)) return nullptr;
  ObjectInfo info = info_of(std::move(path), status);
  if (!options.if_version.empty()) check_version(label(key), &info, options.if_version);
  const Extent extent = clip(options.range, info.bytes);
  constexpr std::uint64_t default_read_ahead = 128 << 10;
  if (extent.length > default_read_ahead) ::posix_fadvise(fd.get(), 0, 0, POSIX_FADV_SEQUENTIAL);
  if (options.opened != nullptr) *options.opened = std::move(info);
  return std::make_unique<ObjectSource>(std::move(fd), extent, label(key), std::move(stop));
}

void FileStore::check_writable(std::string_view operation, std::string_view key, const PutOptions& options,
                               const std::stop_token& stop) const {
  check_put(stop, operation, key, options);
  if (is_temp_name(key)) {
    throw Error(Errc::usage, fmt::format("{} {}: names like this are for files being written", operation, label(key)));
  }
  if (options.if_version.empty()) return;
  const auto current = look(key);
  check_version(label(key), current ? &*current : nullptr, options.if_version);
}

std::shared_ptr<FileStore::Draft> FileStore::create(std::string_view key) {
  const std::string parent = parent_of(key);
  const std::string name(key.substr(parent.size()));
  for (unsigned i = 0;; ++i) {
    Fd directory = directories_.open(parent);
    const std::string temp = temp_name(name, clock_.wall());
    Fd fd(::openat(directory.get(), temp.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
    if (fd) {
      return std::make_shared<Draft>(directories_, parent, std::move(directory), std::move(fd), name, temp, label(key));
    }
    // ENOENT: someone removed the directory as empty between the two opens.
    if (errno != ENOENT || i >= 16) fail(errno, "create", label(key));
  }
}

/// What stands at `key`, made durable first: it may have been renamed there by a process that died before its sync, and
/// our caller is going to acknowledge it.
std::optional<PutResult> FileStore::existing(std::string_view key) {
  const auto object = look(key);
  if (!object) return std::nullopt;
  const Fd directory = directories_.open(parent_of(key));
  const Fd fd(::openat(directories_.root().get(), object->key.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) {
    if (errno == ENOENT) return std::nullopt;
    throw system_error(errno, fmt::format("open {}", label(key)));
  }
  sync_file(fd, label(key));
  sync_entries(directory, label(key));
  return PutResult{.created = false, .object = *object};
}

PutResult FileStore::publish(Draft& draft, std::string_view key, std::uint64_t bytes, const PutOptions& options,
                             const std::stop_token& stop) {
  ObjectInfo info = info_of(std::string(key), draft.file.finish(bytes));
  check_stop(stop, "put", key);
  if (!options.if_version.empty()) {
    // Processes and threads that replace a version they know take turns in this directory; the lock ends with `lock`.
    const Fd lock(::openat(draft.file.directory().get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    while (lock && ::flock(lock.get(), LOCK_EX) != 0 && errno == EINTR) {
    }
    check_writable("put", key, options, stop);
    draft.file.publish(false);
    return {.created = true, .object = std::move(info)};
  }
  for (unsigned i = 0; i < 16; ++i) {
    if (draft.file.publish(options.only_if_absent)) return {.created = true, .object = std::move(info)};
    if (auto there = existing(key)) return *there;
  }
  fail(EEXIST, "put", label(key));
}

PutResult FileStore::put(std::string_view key, Bytes data, const PutOptions& options, std::stop_token stop) {
  check_writable("put", key, options, stop);
  if (options.only_if_absent) {
    if (auto there = existing(key)) return *there;
  }
  const auto draft = create(key);
  draft->file.write_at(data, 0, stop);
  return publish(*draft, key, data.size(), options, stop);
}

Upload FileStore::begin(std::string_view key, const PutOptions& options, std::stop_token stop) {
  check_writable("begin", key, options, stop);
  auto draft = create(key);
  Upload upload{.key = std::string(key), .id = draft->id, .options = options};
  std::lock_guard lock(mutex_);
  uploads_.emplace(upload.id, Pending{.draft = std::move(draft), .finished = {}});
  return upload;
}

std::shared_ptr<FileStore::Draft> FileStore::draft_of(const Upload& upload) {
  std::lock_guard lock(mutex_);
  const auto found = uploads_.find(upload.id);
  if (found == uploads_.end() || !found->second.draft) {
    throw Error(Errc::not_found, fmt::format("{}: no upload {} is under way", label(upload.key), upload.id));
  }
  return found->second.draft;
}

Part FileStore::put_part(const Upload& upload, Part part, Bytes data, std::stop_token stop) {
  check_stop(stop, "put_part", upload.key);
  const auto draft = draft_of(upload);
  part.bytes = data.size();
  draft->file.reserve(part.offset + part.bytes);
  draft->file.write_at(data, part.offset, stop);
  std::lock_guard lock(draft->mutex);
  draft->parts.insert_or_assign(part.number, part);
  return part;
}

void FileStore::check_parts(Draft& draft, std::string_view key, std::span<const Part> parts) const {
  std::lock_guard lock(draft.mutex);
  for (const Part& part : parts) {
    const auto put = draft.parts.find(part.number);
    if (put == draft.parts.end() || put->second.offset != part.offset || put->second.bytes != part.bytes) {
      throw Error(Errc::bug, fmt::format("{}: part {}, {} bytes at {}, was not put", label(key), part.number,
                                         part.bytes, part.offset));
    }
  }
}

PutResult FileStore::complete(const Upload& upload, std::span<const Part> parts, std::stop_token stop) {
  check_stop(stop, "complete", upload.key);
  const std::uint64_t total = total_bytes(label(upload.key), parts);
  {
    std::lock_guard lock(mutex_);
    const auto found = uploads_.find(upload.id);
    if (found != uploads_.end() && found->second.finished) return *found->second.finished;
  }
  const auto draft = draft_of(upload);
  check_parts(*draft, upload.key, parts);
  PutResult result = publish(*draft, upload.key, total, upload.options, stop);
  keep_answer(upload, result);
  return result;
}

void FileStore::keep_answer(const Upload& upload, const PutResult& result) {
  constexpr std::size_t answers = 64;
  std::lock_guard lock(mutex_);
  uploads_.insert_or_assign(upload.id, Pending{.draft = nullptr, .finished = result});
  answered_.push_back(upload.id);
  if (answered_.size() > answers) {
    uploads_.erase(answered_.front());
    answered_.pop_front();
  }
}

void FileStore::abort(const Upload& upload) noexcept {
  std::shared_ptr<Draft> draft;  // destroyed after the lock is released: that unlinks
  std::lock_guard lock(mutex_);
  const auto found = uploads_.find(upload.id);
  if (found == uploads_.end() || found->second.finished) return;
  draft = std::move(found->second.draft);
  uploads_.erase(found);
}

void FileStore::list(const ListOptions& options, const Visit& visit, const VisitPrefix& visit_prefix,
                     std::stop_token stop) {
  directories_.check_root();
  list_files(directories_.root(), description_, options, visit, visit_prefix, stop);
}

PutResult FileStore::copy(std::string_view from, std::string_view to, const PutOptions& options, std::stop_token stop) {
  check_key(from);
  check_writable("copy to", to, options, stop);
  const std::string path(from);
  const auto source_info = look(from);
  const Fd source(source_info ? ::openat(directories_.root().get(), path.c_str(), O_RDONLY | O_CLOEXEC) : -1);
  if (!source) {
    if (source_info && errno != ENOENT) throw system_error(errno, fmt::format("open {}", label(from)));
    throw Error(Errc::not_found, fmt::format("copy {} to {}: no such object", label(from), to));
  }
  if (options.only_if_absent) {
    if (auto there = existing(to)) return *there;
  }
  const auto bytes = static_cast<std::uint64_t>(stat_of(source, label(from)).st_size);
  const auto draft = create(to);
  draft->file.copy_from(source, bytes, stop);
  return publish(*draft, to, bytes, options, stop);
}

std::vector<RemoveFailure> FileStore::remove(std::span<const std::string> keys, std::stop_token stop) {
  check_stop(stop, "remove", keys.empty() ? std::string_view() : keys.front());
  for (const std::string& key : keys) check_key(key);
  std::vector<RemoveFailure> failures;
  std::set<std::string, std::greater<>> touched;
  for (const std::string& key : keys) {
    if (stop.stop_requested()) break;
    if (is_temp_name(key)) continue;
    if (::unlinkat(directories_.root().get(), key.c_str(), 0) == 0) {
      touched.insert(parent_of(key));
    } else if (errno != ENOENT && errno != ENOTDIR && errno != EISDIR && errno != ENAMETOOLONG) {
      failures.push_back({key, system_error(errno, fmt::format("remove {}", label(key))).what()});
    }
  }
  directories_.settle(std::move(touched));
  check_stop(stop, "remove", keys.empty() ? std::string_view() : keys.back());
  return failures;
}

}  // namespace

std::unique_ptr<Store> make_file_store(const std::filesystem::path& root, Clock& clock) {
  const std::string name = std::filesystem::absolute(root).lexically_normal().string();
  Fd fd(::open(name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) {
    if (errno == ENOENT) {
      throw Error(Errc::config,
                  fmt::format("WALG_FILE_PREFIX: {} does not exist; create it, or mount the volume that holds "
                              "the archive",
                              name));
    }
    if (errno == ENOTDIR) throw Error(Errc::config, fmt::format("WALG_FILE_PREFIX: {} is not a directory", name));
    throw system_error(errno, fmt::format("WALG_FILE_PREFIX: {}", name));
  }
  const std::string_view path =
      std::string_view(name).substr(0, name.size() > 1 && name.ends_with('/') ? name.size() - 1 : name.size());
  return std::make_unique<FileStore>(std::move(fd), fmt::format("file://{}", path == "/" ? "" : path), clock);
}

}  // namespace seawall::storage
