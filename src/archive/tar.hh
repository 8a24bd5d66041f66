#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.hh"
#include "base/clock.hh"
#include "base/io.hh"

namespace seawall::archive {

enum class MemberType { file, directory, symlink, hard_link, other };

/// A tar member's header.
struct Member {
  std::string name;
  MemberType type = MemberType::file;
  std::uint32_t mode = 0600;  ///< permission bits with setuid, setgid, sticky
  std::uint64_t uid = 0;
  std::uint64_t gid = 0;
  std::string user;
  std::string group;
  std::uint64_t bytes = 0;    ///< of the body; 0 for all but files
  std::int64_t modified = 0;  ///< seconds since the epoch
  std::string link;
};

/// The header blocks of `member` as Go's archive/tar writes them: USTAR when every field fits, else PAX records before
/// it. A multiple of 512 bytes. Directory names keep the spelling they have ("/base": no slash is added).
std::string tar_header(const Member& member);
/// Zero bytes after a body of `bytes` to the next block.
constexpr std::size_t tar_padding(std::uint64_t bytes) { return static_cast<std::size_t>((512 - bytes % 512) % 512); }
inline constexpr std::size_t tar_trailer_bytes = 1024;

/// Where the members of a tar stream go. Calls come in order: begin, body…, end for files; begin alone for others.
class MemberSink {
 public:
  virtual ~MemberSink() = default;
  /// `offset`: of the member's header in the raw tar stream.
  virtual void begin(const Member& member, std::uint64_t offset) = 0;
  virtual void body(Bytes data) = 0;
  /// As Sink::room and Sink::placed, within the current body.
  virtual MutableBytes room([[maybe_unused]] std::size_t bytes) { return {}; }
  virtual void placed([[maybe_unused]] std::size_t n) {}
  virtual void end() = 0;
};

/// Reads a tar stream pushed into it: ustar, PAX, GNU long names, base-256 numbers, v7; a missing end-of-archive and
/// an unpadded last member are accepted (remote backups lack them), anything but zeros after the end is not. Header
/// checksums are verified. Bodies are passed on without a copy. Errc::corrupt with the offset on everything else,
/// also from finish() when a header or a body is cut. `origin` names the part in messages.
class TarReader final : public Sink {
 public:
  TarReader(MemberSink& to, std::string origin);
  ~TarReader() override;
  void write(Bytes data) override;
  MutableBytes room(std::size_t bytes) override;
  void placed(std::size_t n) override;
  void finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace seawall::archive
