#include "archive/backup_folder.hh"

#include <fmt/format.h>

#include <algorithm>

#include "archive/layout.hh"
#include "archive/number_ranges.hh"
#include "archive/wal_e.hh"
#include "base/text.hh"

namespace seawall::archive {
namespace {

constexpr std::string_view parts_prefix = "tar_partitions/";
constexpr std::string_view part_prefix = "part_";
constexpr std::string_view tar_suffix = ".tar";

bool takes_digits(std::string_view& text, std::size_t count) noexcept {
  if (text.size() < count) return false;
  const bool all = std::all_of(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(count),
                               [](char c) { return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'F'); });
  if (all) text.remove_prefix(count);
  return all;
}

bool takes(std::string_view& text, std::string_view start) noexcept {
  if (!text.starts_with(start)) return false;
  text.remove_prefix(start.size());
  return true;
}

/// "part_007.tar.lz4": 7 and ".lz4". Only spellings that print back to themselves.
struct NumberedPart {
  std::uint64_t number = 0;
  std::string_view suffix;
};
std::optional<NumberedPart> numbered_part(std::string_view part) {
  if (!takes(part, part_prefix)) return std::nullopt;
  const std::size_t dot = part.find(tar_suffix);
  if (dot == std::string_view::npos) return std::nullopt;
  const auto number = parse_int<std::uint32_t>(part.substr(0, dot));
  if (!number || fmt::format("{:03}", *number) != part.substr(0, dot)) return std::nullopt;
  return NumberedPart{*number, part.substr(dot + tar_suffix.size())};
}

/// Their names have more digits, so they are not among the numbered ones; and they begin with 0.
std::vector<std::uint64_t> missing_volumes_of_wal_e(const std::vector<std::string>& names) {
  std::vector<std::uint32_t> volumes;
  for (std::string_view name : names) {
    if (!takes(name, parts_prefix)) continue;
    if (const auto number = wal_e_part_number(name)) volumes.push_back(*number);
  }
  return wal_e_missing_parts(volumes);
}

}  // namespace

bool is_backup_name(std::string_view name) noexcept {
  constexpr std::size_t segment_digits = 24;
  constexpr std::size_t offset_digits = 8;
  if (!takes(name, "base_") || !takes_digits(name, segment_digits)) return false;
  if (takes(name, "_D_") && !takes_digits(name, segment_digits)) return false;
  return name.empty() || (takes(name, "_") && takes_digits(name, offset_digits) && name.empty());
}

void BackupFolder::add(std::string_view name, std::uint64_t bytes, Time modified) {
  ++objects_;
  bytes_ += bytes;
  newest_ = std::max(newest_, modified);
  if (name == "seawall_lease.json") lease_ = modified;
  std::string_view part = name;
  if (takes(part, parts_prefix)) {
    if (bytes == 0) empties_.emplace_back(name);
    add_part(part);
  } else {
    others_.emplace_back(name);
  }
}

void BackupFolder::add_part(std::string_view part) {
  ++parts_;
  const auto numbered = numbered_part(part);
  if (!numbered) {
    others_.push_back(fmt::format("{}{}", parts_prefix, part));
    return;
  }
  for (Parts& range : numbered_) {
    if (range.suffix == numbered->suffix && numbered->number == range.last + 1) {
      ++range.last;
      return;
    }
  }
  numbered_.push_back({std::string(numbered->suffix), numbered->number, numbered->number});
}

bool BackupFolder::has(std::string_view name) const noexcept {
  return std::find(others_.begin(), others_.end(), name) != others_.end();
}

bool BackupFolder::has_part(std::string_view stem) const noexcept {
  return std::any_of(others_.begin(), others_.end(),
                     [&](std::string_view name) { return takes(name, parts_prefix) && takes(name, stem); });
}

std::vector<std::uint64_t> BackupFolder::missing_parts() const {
  NumberRanges present;
  for (const Parts& range : numbered_) present.add({range.first, range.last});
  std::vector<std::uint64_t> missing;
  if (present.empty()) return missing_volumes_of_wal_e(others_);
  for (const NumberRange& gap : present.gaps({1, present.last()})) {
    for (std::uint64_t number = gap.first; number <= gap.last; ++number) missing.push_back(number);
  }
  return missing;
}

void BackupFolder::visit(const std::function<void(const std::string& name)>& visit) const {
  for (const std::string& name : others_) visit(name);
  for (const Parts& range : numbered_) {
    for (std::uint64_t number = range.first; number <= range.last; ++number) {
      visit(fmt::format("{}{}{}", parts_prefix, part_name(static_cast<unsigned>(number)), range.suffix));
    }
  }
}

}  // namespace seawall::archive
