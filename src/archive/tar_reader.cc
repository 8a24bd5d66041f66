#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <utility>

#include "archive/detail/tar_block.hh"
#include "archive/tar.hh"
#include "base/error.hh"
#include "base/text.hh"

namespace seawall::archive {
namespace {

using namespace tar_block;

/// Longest PAX or GNU long-name body that is read. Paths end at 4 KiB; more is damage or an attack on our memory.
constexpr std::uint64_t max_extension_bytes = std::uint64_t{1} << 20;

std::string_view c_string(std::string_view field) { return field.substr(0, field.find('\0')); }

std::optional<std::int64_t> parse_base256(std::string_view field) {
  const bool negative = (static_cast<unsigned char>(field[0]) & 0x40) != 0;
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < field.size(); ++i) {
    auto digit = static_cast<unsigned char>(field[i]);
    if (negative) digit = static_cast<unsigned char>(~digit);
    if (i == 0) digit &= 0x7f;
    if (value >> 56 != 0) return std::nullopt;
    value = value << 8 | digit;
  }
  if (value >> 63 != 0) return std::nullopt;
  const auto magnitude = static_cast<std::int64_t>(value);
  return negative ? -magnitude - 1 : magnitude;
}

/// Octal between blanks and NULs, or GNU's base 256; an empty field is zero. Nothing on anything else.
std::optional<std::int64_t> parse_number(std::string_view field) {
  if ((static_cast<unsigned char>(field[0]) & 0x80) != 0) return parse_base256(field);
  constexpr std::string_view padding(" \0", 2);
  const std::size_t first = field.find_first_not_of(padding);
  if (first == std::string_view::npos) return 0;
  field = c_string(field.substr(first, field.find_last_not_of(padding) - first + 1));
  const auto value = parse_int<std::uint64_t>(field, 8);
  if (!value || *value >> 63 != 0) return std::nullopt;
  return static_cast<std::int64_t>(*value);
}

bool has_body(char flag) { return flag < '1' || flag > '6'; }

MemberType member_type(char flag, std::string_view name) {
  switch (flag) {
    case '\0':
      return name.ends_with('/') ? MemberType::directory : MemberType::file;  // v7 has no directories
    case '0':
    case '7':
      return MemberType::file;  // '7': contiguous, which no file system knows any more
    case '1':
      return MemberType::hard_link;
    case '2':
      return MemberType::symlink;
    case '5':
      return MemberType::directory;
    default:
      return MemberType::other;
  }
}

/// Seconds of a PAX time such as "-1.25", rounded down as the kernel's own times are.
std::optional<std::int64_t> parse_pax_seconds(std::string_view text) {
  const std::size_t dot = text.find('.');
  const std::string_view fraction = dot == std::string_view::npos ? std::string_view() : text.substr(dot + 1);
  if (fraction.find_first_not_of("0123456789") != std::string_view::npos) return std::nullopt;
  auto seconds = parse_int<std::int64_t>(text.substr(0, dot));
  const bool below = text.starts_with('-') && fraction.find_first_not_of('0') != std::string_view::npos;
  if (seconds && below && *seconds != std::numeric_limits<std::int64_t>::min()) --*seconds;
  return seconds;
}

/// What extension members said about the member that follows them.
struct Overrides {
  std::optional<std::string> name;
  std::optional<std::string> link;
  std::optional<std::string> user;
  std::optional<std::string> group;
  std::optional<std::int64_t> uid;
  std::optional<std::int64_t> gid;
  std::optional<std::int64_t> bytes;
  std::optional<std::int64_t> modified;
};

}  // namespace

struct TarReader::State {
  enum class Phase { header, extension, body, padding, trailer };

  MemberSink& to;
  std::string origin;
  Phase phase = Phase::header;
  std::uint64_t offset = 0;         ///< of the next byte to be consumed
  std::uint64_t rest = 0;           ///< of the body, the extension or the padding
  std::uint64_t after_padding = 0;  ///< zero bytes that follow the current body
  bool reports_body = false;        ///< the current body belongs to a file
  char extension_flag = 0;
  std::string extension;
  Overrides overrides;
  bool extended = false;
  std::uint64_t member_offset = 0;  ///< of the first block, extensions included
  Block partial{};                  ///< a header that came in pieces
  std::size_t partial_bytes = 0;

  [[noreturn]] void fail(std::string_view what, Errc code = Errc::corrupt) const {
    throw Error(code, fmt::format("{}: {} (at byte {} of the tar)", origin, what, offset));
  }

  void consume(Bytes& data, std::size_t n) {
    data = data.subspan(n);
    offset += n;
  }

  void step(Bytes& data);
  void gather_header(Bytes& data);
  void header(BlockView block);
  void take_member(BlockView block, char flag);
  Member read_member(BlockView block, char flag) const;
  std::int64_t number(BlockView block, Field field, std::string_view what) const;
  std::uint64_t natural(std::int64_t value, std::string_view what) const;
  void begin_extension(char flag, std::uint64_t bytes);
  void end_extension();
  void parse_pax(std::string_view records);
  void pax(std::string_view key, std::string_view value);
  void begin_body(std::uint64_t bytes, bool reported);
  void end_body();
  void check_zeros(Bytes data) const;
};

void TarReader::State::check_zeros(Bytes data) const {
  // A buffer is all zeros iff its first byte is and it equals itself one byte on: memcmp runs at memory speed.
  const bool zero =
      data.empty() || (data[0] == std::byte{0} && std::memcmp(data.data(), data.data() + 1, data.size() - 1) == 0);
  if (!zero) fail("data after the end of the archive");
}

void TarReader::State::step(Bytes& data) {
  switch (phase) {
    case Phase::header:
      return gather_header(data);
    case Phase::trailer:
      check_zeros(data);
      return consume(data, data.size());
    case Phase::extension: {
      const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(rest, data.size()));
      extension.append(text_of(data.first(n)));
      consume(data, n);
      rest -= n;
      if (rest == 0) end_extension();
      return;
    }
    case Phase::body: {
      const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(rest, data.size()));
      if (reports_body) to.body(data.first(n));
      consume(data, n);
      rest -= n;
      if (rest == 0) end_body();
      return;
    }
    case Phase::padding: {
      const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(rest, data.size()));
      consume(data, n);
      rest -= n;
      if (rest == 0) phase = Phase::header;
      return;
    }
  }
}

void TarReader::State::gather_header(Bytes& data) {
  if (partial_bytes == 0 && data.size() >= block_bytes) {
    header(data.first<block_bytes>());
    return consume(data, block_bytes);
  }
  const std::size_t n = std::min(block_bytes - partial_bytes, data.size());
  std::memcpy(partial.data() + partial_bytes, data.data(), n);
  partial_bytes += n;
  data = data.subspan(n);
  if (partial_bytes < block_bytes) return;
  partial_bytes = 0;
  header(std::as_bytes(std::span(partial)));
  offset += block_bytes;
}

std::int64_t TarReader::State::number(BlockView block, Field field, std::string_view what) const {
  const auto value = parse_number(view(block, field));
  if (!value) fail(fmt::format("a header whose {} is no number", what));
  return *value;
}

std::uint64_t TarReader::State::natural(std::int64_t value, std::string_view what) const {
  if (value < 0) fail(fmt::format("a header with a negative {}", what));
  return static_cast<std::uint64_t>(value);
}

/// Called with `offset` still at the block's first byte.
void TarReader::State::header(BlockView block) {
  const auto sum = parse_number(view(block, sum_field));
  const Sums sums = sums_of(block);
  constexpr std::string_view no_sum("\0\0\0\0\0\0\0\0", sum_field.bytes);
  if (sums.unsigned_sum == static_cast<std::int64_t>(' ' * sum_field.bytes) && view(block, sum_field) == no_sum) {
    if (extended) fail("the archive ends after a header extension");
    phase = Phase::trailer;
    return;
  }
  if (!sum || (*sum != sums.unsigned_sum && *sum != sums.signed_sum)) fail("no tar header, or a damaged one");
  if (!extended) member_offset = offset;
  const char flag = view(block, type_field)[0];
  switch (flag) {
    case 'x':
    case 'X':
    case 'g':
    case 'L':
    case 'K':
      return begin_extension(flag, natural(number(block, size_field, "size"), "size"));
    case 'S':
      return fail("a sparse member, which only GNU tar can restore", Errc::unsupported);
    default:
      return take_member(block, flag);
  }
}

Member TarReader::State::read_member(BlockView block, char flag) const {
  Member member;
  member.name = overrides.name.value_or(std::string(c_string(view(block, name_field))));
  const std::string_view magic = view(block, magic_field);
  if (magic == ustar_magic && !overrides.name) {
    const bool star = view(block, star_trailer_field) == star_trailer;
    const std::string_view prefix = c_string(view(block, star ? star_prefix_field : prefix_field));
    if (!prefix.empty()) member.name = fmt::format("{}/{}", prefix, member.name);
  }
  if (magic == ustar_magic || magic == gnu_magic.substr(0, magic.size())) {
    member.user = c_string(view(block, user_field));
    member.group = c_string(view(block, group_field));
  }
  member.user = overrides.user.value_or(member.user);
  member.group = overrides.group.value_or(member.group);
  member.link = overrides.link.value_or(std::string(c_string(view(block, link_field))));
  member.type = member_type(flag, member.name);
  member.mode = static_cast<std::uint32_t>(number(block, mode_field, "mode") & 07777);
  member.uid = natural(overrides.uid ? *overrides.uid : number(block, uid_field, "uid"), "uid");
  member.gid = natural(overrides.gid ? *overrides.gid : number(block, gid_field, "gid"), "gid");
  member.modified = overrides.modified ? *overrides.modified : number(block, modified_field, "time");
  return member;
}

void TarReader::State::take_member(BlockView block, char flag) {
  Member member = read_member(block, flag);
  const std::int64_t size = overrides.bytes ? *overrides.bytes : number(block, size_field, "size");
  const bool is_file = member.type == MemberType::file;
  std::uint64_t bytes = natural(size, "size");
  // The size of a link is that of its target, and a directory's is advice: no body follows either.
  if (!has_body(flag) || member.type == MemberType::directory) bytes = 0;
  member.bytes = is_file ? bytes : 0;
  overrides = {};
  extended = false;
  to.begin(member, member_offset);
  begin_body(bytes, is_file);
}

void TarReader::State::begin_body(std::uint64_t bytes, bool reported) {
  reports_body = reported;
  rest = bytes;
  after_padding = tar_padding(bytes);
  phase = Phase::body;
  if (rest == 0) end_body();
}

void TarReader::State::end_body() {
  if (reports_body) to.end();
  rest = after_padding;
  phase = rest == 0 ? Phase::header : Phase::padding;
}

void TarReader::State::begin_extension(char flag, std::uint64_t bytes) {
  if (bytes > max_extension_bytes) fail(fmt::format("a header extension of {} bytes", bytes));
  extended |= flag != 'g';
  extension_flag = flag;
  extension.clear();
  rest = bytes;
  after_padding = tar_padding(bytes);
  phase = Phase::extension;
  if (rest == 0) end_extension();
}

void TarReader::State::end_extension() {
  switch (extension_flag) {
    case 'L':
      overrides.name = c_string(extension);
      break;
    case 'K':
      overrides.link = c_string(extension);
      break;
    default:
      parse_pax(extension);
  }
  rest = after_padding;
  phase = rest == 0 ? Phase::header : Phase::padding;
}

void TarReader::State::parse_pax(std::string_view records) {
  while (!records.empty()) {
    const std::size_t blank = records.find(' ');
    const auto length = parse_int<std::size_t>(records.substr(0, blank));
    if (blank == std::string_view::npos || !length || *length > records.size() || *length < blank + 2) {
      fail("a malformed PAX record");
    }
    const std::string_view record = records.substr(blank + 1, *length - blank - 1);
    const std::size_t equals = record.find('=');
    if (record.back() != '\n' || equals == std::string_view::npos || equals == 0) fail("a malformed PAX record");
    pax(record.substr(0, equals), record.substr(equals + 1, record.size() - equals - 2));
    records.remove_prefix(*length);
  }
}

void TarReader::State::pax(std::string_view key, std::string_view value) {
  const auto integer = [&]() -> std::int64_t {
    const auto parsed = parse_int<std::int64_t>(value);
    if (!parsed) fail(fmt::format("a PAX record whose {} is no number", key));
    return *parsed;
  };
  const auto text = [&] {
    if (value.find('\0') != std::string_view::npos) fail(fmt::format("a PAX record whose {} holds a NUL byte", key));
    return std::string(value);
  };
  if (key.starts_with("GNU.sparse.")) fail("a sparse member, which only GNU tar can restore", Errc::unsupported);
  constexpr std::array<std::string_view, 8> known{"path", "linkpath", "uname", "gname", "uid", "gid", "size", "mtime"};
  if (std::find(known.begin(), known.end(), key) == known.end()) return;
  if (extension_flag == 'g')
    fail(fmt::format("a global PAX header that sets {} of all members", key), Errc::unsupported);
  if (value.empty()) return;  // POSIX: the header's own value stands
  if (key == "path") overrides.name = text();
  if (key == "linkpath") overrides.link = text();
  if (key == "uname") overrides.user = text();
  if (key == "gname") overrides.group = text();
  if (key == "uid") overrides.uid = integer();
  if (key == "gid") overrides.gid = integer();
  if (key == "size") overrides.bytes = integer();
  if (key == "mtime") {
    overrides.modified = parse_pax_seconds(value);
    if (!overrides.modified) fail("a PAX record whose mtime is no time");
  }
}

TarReader::TarReader(MemberSink& to, std::string origin)
    : state_(std::make_unique<State>(State{.to = to, .origin = std::move(origin)})) {}

TarReader::~TarReader() = default;

MutableBytes TarReader::room(std::size_t bytes) {
  const State& state = *state_;
  if (state.phase != State::Phase::body || !state.reports_body || state.rest < bytes) return {};
  return state.to.room(bytes);
}

void TarReader::placed(std::size_t n) {
  State& state = *state_;
  state.to.placed(n);
  state.offset += n;
  state.rest -= n;
  if (state.rest == 0) state.end_body();
}

void TarReader::write(Bytes data) {
  while (!data.empty()) state_->step(data);
}

void TarReader::finish() {
  State& state = *state_;
  if (state.partial_bytes != 0) state.fail("the tar is cut within a header");
  if (state.phase == State::Phase::body) {
    state.fail(fmt::format("the tar is cut: {} bytes of a member are missing", state.rest));
  }
  // Missing padding behind the last body is how base backups taken over the replication protocol end.
  if (state.phase == State::Phase::extension || state.extended) state.fail("the tar is cut within a header extension");
  if (state.offset == 0) state.fail("the tar is empty");
}

}  // namespace seawall::archive
