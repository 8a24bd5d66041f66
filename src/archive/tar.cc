#include "archive/tar.hh"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <map>
#include <vector>

#include "archive/detail/tar_block.hh"
#include "base/error.hh"
#include "base/text.hh"

namespace seawall::archive {
namespace {

using namespace tar_block;

bool is_plain_ascii(std::string_view text) {
  return std::none_of(text.begin(), text.end(), [](char c) { return c == 0 || static_cast<unsigned char>(c) >= 0x80; });
}

std::string plain_ascii(std::string_view text) {
  std::string kept;
  for (const char c : text) {
    if (c != 0 && static_cast<unsigned char>(c) < 0x80) kept.push_back(c);
  }
  return kept;
}

std::string_view without_trailing(std::string_view text, char c) {
  while (!text.empty() && text.back() == c) text.remove_suffix(1);
  return text;
}

/// The shortest lexical equivalent of `path`: no empty, "." or resolvable ".." elements.
std::string clean_path(std::string_view path) {
  const bool rooted = path.starts_with('/');
  std::vector<std::string_view> kept;
  for (const std::string_view element : split(path, '/')) {
    if (element.empty() || element == ".") continue;
    if (element == ".." && !kept.empty() && kept.back() != "..") {
      kept.pop_back();
    } else if (element != ".." || !rooted) {
      kept.push_back(element);
    }
  }
  std::string result(rooted ? "/" : "");
  for (const std::string_view element : kept) {
    if (!result.empty() && result != "/") result.push_back('/');
    result.append(element);
  }
  return result.empty() ? "." : result;
}

std::string pax_header_name(std::string_view name) {
  const std::size_t slash = name.rfind('/');
  const std::size_t base = slash == std::string_view::npos ? 0 : slash + 1;
  const std::string whole = clean_path(fmt::format("{}PaxHeaders.0/{}", name.substr(0, base), name.substr(base)));
  const std::string ascii = plain_ascii(whole);
  return std::string(without_trailing(std::string_view(ascii).substr(0, name_field.bytes), '/'));
}

bool fits_octal(Field field, std::int64_t value) {
  return value >= 0 && value < std::int64_t{1} << (3 * (field.bytes - 1));
}

void put_octal(Block& block, Field field, std::int64_t value) {
  // What does not fit stands in a PAX record; the field then holds zero.
  std::uint64_t rest = fits_octal(field, value) ? static_cast<std::uint64_t>(value) : 0;
  for (std::size_t digit = field.offset + field.bytes - 1; digit-- > field.offset;) {
    block[digit] = static_cast<char>('0' + (rest & 7));
    rest >>= 3;
  }
}

void put_text(Block& block, Field field, std::string_view text) {
  const std::size_t n = std::min(text.size(), field.bytes);
  std::copy_n(text.data(), n, block.data() + field.offset);
  // Some readers take a file whose cut name ends in '/' for a directory, although its PAX path says otherwise.
  if (text.size() > field.bytes && text[n - 1] == '/') {
    block[field.offset + without_trailing(text.substr(0, n - 1), '/').size()] = 0;
  }
}

void seal(Block& block) {
  put_text(block, magic_field, ustar_magic);
  put_text(block, version_field, "00");
  const Sums sums = sums_of(std::as_bytes(std::span(block)));
  put_octal(block, {sum_field.offset, 7}, sums.unsigned_sum);
  block[sum_field.offset + 7] = ' ';
}

struct SplitName {
  std::string_view prefix;
  std::string_view suffix;
};
/// Where a long name is divided between the name and the prefix field, if it can be.
std::optional<SplitName> split_name(std::string_view name) {
  if (name.size() <= name_field.bytes || !is_plain_ascii(name)) return std::nullopt;
  std::size_t searched = name.size();
  if (searched > prefix_field.bytes + 1) {
    searched = prefix_field.bytes + 1;
  } else if (name.back() == '/') {
    --searched;
  }
  const std::size_t slash = name.substr(0, searched).rfind('/');
  if (slash == std::string_view::npos || slash == 0) return std::nullopt;
  const std::string_view suffix = name.substr(slash + 1);
  if (suffix.empty() || suffix.size() > name_field.bytes || slash > prefix_field.bytes) return std::nullopt;
  return SplitName{name.substr(0, slash), suffix};
}

std::string pax_record(std::string_view key, std::string_view value) {
  // The length counts its own digits.
  const std::size_t rest = key.size() + value.size() + 3;
  std::size_t total = rest + fmt::formatted_size("{}", rest);
  total = rest + fmt::formatted_size("{}", total);
  return fmt::format("{} {}={}\n", total, key, value);
}

char type_flag(const Member& member) {
  switch (member.type) {
    case MemberType::file:
      return '0';
    case MemberType::hard_link:
      return '1';
    case MemberType::symlink:
      return '2';
    case MemberType::directory:
      return '5';
    case MemberType::other:
      break;
  }
  throw Error(Errc::bug, fmt::format("{}: a member of no known type cannot be written to a tar", member.name));
}

/// What a ustar header cannot say, by PAX key. `splits`: the name is long but fits into name and prefix.
struct Extensions {
  std::map<std::string_view, std::string> records;
  bool needed = false;

  void text(std::string_view key, std::string_view value, Field field, bool splits = false) {
    if (value.size() <= field.bytes && is_plain_ascii(value)) return;
    records.emplace(key, value);
    needed |= !splits;
  }
  void number(std::string_view key, std::int64_t value, Field field) {
    if (fits_octal(field, value)) return;
    records.emplace(key, fmt::to_string(value));
    needed = true;
  }
};

/// A Member's numbers and its link as a header holds them.
struct Values {
  std::int64_t uid;
  std::int64_t gid;
  std::int64_t bytes;
  std::string_view link;
};

Values checked_values(const Member& member) {
  constexpr auto limit = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  const auto refuse = [&](std::string_view what) {
    throw Error(Errc::bug, fmt::format("{}: {} cannot be written to a tar header", json_string(member.name), what));
  };
  const bool is_link = member.type == MemberType::symlink || member.type == MemberType::hard_link;
  for (const std::string* text : {&member.name, &member.link, &member.user, &member.group}) {
    if (text->find('\0') != std::string::npos) refuse("a NUL byte");
  }
  if (member.type == MemberType::file && member.name.ends_with('/')) refuse("a file name that ends in '/'");
  if (!fits_octal(mode_field, member.mode)) refuse("its mode");
  const std::uint64_t bytes = member.type == MemberType::file ? member.bytes : 0;
  if (bytes > limit || member.uid > limit || member.gid > limit) refuse("a size or an owner beyond 2^63");
  return {static_cast<std::int64_t>(member.uid), static_cast<std::int64_t>(member.gid),
          static_cast<std::int64_t>(bytes), is_link ? std::string_view(member.link) : std::string_view()};
}

std::string pax_blocks(const Member& member, const Extensions& extensions) {
  std::string body;
  for (const auto& [key, value] : extensions.records) body.append(pax_record(key, value));
  Block block{};
  put_text(block, name_field, pax_header_name(member.name));
  for (const Field field : {mode_field, uid_field, gid_field, modified_field}) put_octal(block, field, 0);
  put_octal(block, size_field, static_cast<std::int64_t>(body.size()));
  block[type_field.offset] = 'x';
  seal(block);
  body.append(tar_padding(body.size()), '\0');
  body.insert(0, block.data(), block.size());
  return body;
}

}  // namespace

std::string tar_header(const Member& member) {
  const Values values = checked_values(member);
  const std::optional<SplitName> halves = split_name(member.name);
  Extensions extensions;
  extensions.text("path", member.name, name_field, halves.has_value());
  extensions.text("linkpath", values.link, link_field);
  extensions.text("uname", member.user, user_field);
  extensions.text("gname", member.group, group_field);
  extensions.number("uid", values.uid, uid_field);
  extensions.number("gid", values.gid, gid_field);
  extensions.number("size", values.bytes, size_field);
  extensions.number("mtime", member.modified, modified_field);

  Block block{};
  const bool extended = extensions.needed;
  const auto text = [&](Field field, std::string_view value) {
    put_text(block, field, extended ? plain_ascii(value) : std::string(value));
  };
  if (!extended && halves) {
    put_text(block, prefix_field, halves->prefix);
    put_text(block, name_field, halves->suffix);
  } else {
    text(name_field, member.name);
  }
  text(link_field, values.link);
  text(user_field, member.user);
  text(group_field, member.group);
  put_octal(block, mode_field, member.mode);
  put_octal(block, uid_field, values.uid);
  put_octal(block, gid_field, values.gid);
  put_octal(block, size_field, values.bytes);
  put_octal(block, modified_field, member.modified);
  put_octal(block, device_major_field, 0);
  put_octal(block, device_minor_field, 0);
  block[type_field.offset] = type_flag(member);
  seal(block);

  std::string result;
  if (extended) result = pax_blocks(member, extensions);
  result.append(block.data(), block.size());
  return result;
}

}  // namespace seawall::archive
