#include "ops/wal_upload.hh"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "archive/layout.hh"
#include "ops/segment_check.hh"
#include "pipeline/object_reader.hh"
#include "pipeline/object_writer.hh"

namespace seawall::ops {
namespace {

using archive::WalFileKind;

constexpr std::size_t read_bytes = std::size_t{256} << 10;
constexpr std::size_t text_limit = std::size_t{16} << 20;
constexpr std::string_view label_start = "START WAL LOCATION";

/// What a decoded object holds, without keeping it.
class DigestSink final : public Sink {
 public:
  void write(Bytes data) override {
    digester_.update(data);
    bytes_ += data.size();
  }
  Digest digest() const { return digester_.value(); }
  std::uint64_t bytes() const { return bytes_; }

 private:
  Digester digester_;
  std::uint64_t bytes_ = 0;
};

std::string content_of(const LocalWal& file) {
  if (file.bytes == 0 || file.bytes > text_limit) {
    throw Error(Errc::corrupt,
                fmt::format("'{}' has {} bytes, which no such file has", file.path.native(), file.bytes));
  }
  std::string text(file.bytes, '\0');
  const MutableBytes into(reinterpret_cast<std::byte*>(text.data()), text.size());
  text.resize(read_at(file.fd, into, 0, file.path.native()));
  return text;
}

void check_history(const LocalWal& file) {
  const auto ancestors = archive::parse_history(content_of(file), file.path.native());
  const auto own = archive::parse_history_name(file.name);
  if (ancestors.empty()) {
    throw Error(Errc::corrupt, fmt::format("'{}' names no ancestor: it is no timeline history", file.path.native()));
  }
  if (own && ancestors.back().timeline >= *own) {
    throw Error(Errc::corrupt, fmt::format("'{}' names timeline {} as an ancestor of timeline {}", file.path.native(),
                                           ancestors.back().timeline, *own));
  }
}

void check_content(LocalWal& file, Log& log) {
  switch (file.kind) {
    case WalFileKind::segment:
    case WalFileKind::partial: {
      std::array<std::byte, postgres::wal_segment_header_bytes> head;
      const std::size_t n = read_at(file.fd, head, 0, file.path.native());
      file.header = check_segment(file.name, file.path.native(), Bytes(head).first(n), file.bytes, log);
      break;
    }
    case WalFileKind::history:
      check_history(file);
      break;
    case WalFileKind::backup_label:
      if (!content_of(file).starts_with(label_start)) {
        throw Error(Errc::corrupt, fmt::format("'{}' is no backup label: it does not start with '{}'",
                                               file.path.native(), label_start));
      }
      break;
    case WalFileKind::other:
      break;
  }
}

/// Hands every piece of the file to `use` as (data, offset) and has it read where `room` says.
template <class Room, class Use>
void read_through(const LocalWal& file, Room room, Use use, const std::stop_token& stop) {
  for (std::uint64_t offset = 0; offset < file.bytes;) {
    if (stop.stop_requested()) throw Error(Errc::cancelled, "stopped on request");
    const MutableBytes into = room();
    const std::size_t wanted = std::min<std::uint64_t>({into.size(), read_bytes, file.bytes - offset});
    const std::size_t n = read_at(file.fd, into.first(wanted), offset, file.path.native());
    if (n < wanted) {
      throw Error(Errc::corrupt,
                  fmt::format("'{}' became shorter than {} bytes while it was read", file.path.native(), file.bytes));
    }
    use(Bytes(into.first(n)), offset);
    offset += n;
  }
}

/// Success if the object holds what the file does.
void compare(const pipeline::Repository& repository, const LocalWal& file, const Digest& digest,
             const storage::ObjectInfo& object, const codec::Codec& codec, const Run& run) {
  DigestSink stored;
  try {
    pipeline::pull(repository, object, codec, stored, run.stop);
  } catch (Error& error) {
    throw Error(error.during(fmt::format("'{}' is in the archive already, but it cannot be compared", file.name)));
  }
  if (stored.bytes() == file.bytes && stored.digest() == digest) {
    repository.store->settle(object.key, run.stop);
    return;
  }
  throw Error(
      Errc::differs,
      fmt::format("'{}' is in the archive already with other content, and nothing was changed: file '{}' has {} "
                  "bytes and digest {}, object '{}' holds {} bytes with digest {}",
                  file.name, file.path.native(), file.bytes, digest.hex(), object.key, stored.bytes(),
                  stored.digest().hex()));
}

}  // namespace

LocalWal open_local_wal(const std::filesystem::path& path, Log& log) {
  LocalWal file{.path = path, .name = path.filename().native()};
  file.kind = archive::wal_file_kind(file.name);
  if (file.kind == WalFileKind::other) {
    throw Error(Errc::usage, fmt::format("'{}' is no name of a WAL file: expected is a segment (24 hex digits), a "
                                         ".partial, a .history or a .backup file",
                                         path.native()));
  }
  file.fd = open_file(path, O_RDONLY);
  const struct stat status = stat_of(file.fd, path.native());
  if (!S_ISREG(status.st_mode)) throw Error(Errc::usage, fmt::format("'{}' is no regular file", path.native()));
  file.bytes = static_cast<std::uint64_t>(status.st_size);
  file.modified = Time(std::chrono::seconds(status.st_mtim.tv_sec) + std::chrono::nanoseconds(status.st_mtim.tv_nsec));
  check_content(file, log);
  return file;
}

Digest digest_of_file(const LocalWal& file) {
  const AlignedBuffer buffer(read_bytes);
  Digester digester;
  read_through(
      file, [&] { return buffer.span(); }, [&](Bytes data, std::uint64_t) { digester.update(data); }, {});
  return digester.value();
}

WalUpload upload_wal(const pipeline::Repository& repository, const LocalWal& file, CpuPool* pool, bool want_digest,
                     const Run& run) {
  const std::string name = archive::wal_object(file.name);
  const std::vector<pipeline::Found> found = pipeline::find_all_encoded(repository, name, run.stop);
  if (!found.empty()) {
    const Digest digest = digest_of_file(file);
    for (const auto& [object, codec] : found) compare(repository, file, digest, object, *codec, run);
    return {.created = false, .digest = digest};
  }
  pipeline::EncodedObjectWriter writer(repository, name, {.only_if_absent = true},
                                       {.key = name, .size_hint = file.bytes, .pool = pool}, run.stop);
  Digester digester;
  // A .partial ends where the server stopped: behind that it holds what the recycled file held before.
  std::optional<PageSequence> pages;
  if (file.kind == WalFileKind::segment) pages.emplace(*file.header, file.path.native());
  read_through(
      file, [&] { return writer.filter().space(); },
      [&](Bytes data, std::uint64_t offset) {
        if (pages) pages->update(data, offset);
        if (want_digest) digester.update(data);
        writer.filter().filled(data.size());
      },
      run.stop);
  const pipeline::Stored stored = writer.commit();
  if (!stored.created) {
    const Digest digest = want_digest ? digester.value() : digest_of_file(file);
    compare(repository, file, digest, stored.object, *repository.codec, run);
    return {.created = false, .digest = digest};
  }
  if (stored.object.bytes != writer.stored_bytes()) {
    throw Error(Errc::incomplete, fmt::format("{} bytes were sent for '{}', but the storage has {}",
                                              writer.stored_bytes(), stored.object.key, stored.object.bytes));
  }
  return {.created = true,
          .digest = want_digest ? std::optional(digester.value()) : std::nullopt,
          .stored_bytes = stored.object.bytes};
}

}  // namespace seawall::ops
