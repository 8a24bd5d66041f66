#include "cli/detail/layout.hh"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.hh"

namespace seawall::cli::detail {
namespace {

constexpr std::size_t width = 100;
constexpr std::size_t widest_left = 34;

/// "[text](target)": the text, and the target where it leads out of the manual. Nothing if it is no link.
struct Link {
  std::string shown;
  std::size_t length;
};
std::optional<Link> link_at(std::string_view text) {
  const auto middle = text.find("](");
  if (middle == std::string_view::npos || text.substr(1, middle).find('[') != std::string_view::npos)
    return std::nullopt;
  const auto end = text.find(')', middle);
  if (end == std::string_view::npos) return std::nullopt;
  const std::string_view target = text.substr(middle + 2, end - middle - 2);
  std::string shown(text.substr(1, middle - 1));
  if (target.starts_with("http")) shown += fmt::format(" ({})", target);
  return Link{std::move(shown), end + 1};
}

std::string without_marks(std::string_view line) {
  std::string plain;
  for (std::size_t at = 0; at < line.size();) {
    const std::string_view rest = line.substr(at);
    if (rest.front() == '`') {
      // Nothing inside code is a mark.
      const auto end = rest.find('`', 1);
      plain += rest.substr(1, end == std::string_view::npos ? end : end - 1);
      at = end == std::string_view::npos ? line.size() : at + end + 1;
    } else if (rest.starts_with("**")) {
      at += 2;
    } else if (const auto link = rest.front() == '[' ? link_at(rest) : std::nullopt) {
      plain += without_marks(link->shown);
      at += link->length;
    } else {
      plain += rest.front();
      ++at;
    }
  }
  return plain;
}

bool is_table_rule(std::string_view line) {
  return line.starts_with('|') && line.find_first_not_of("|-: ") == std::string_view::npos;
}

}  // namespace

std::string wrapped(std::string_view text, std::size_t indent) {
  std::string out;
  std::string line;
  for (const std::string_view word : split(text, ' ')) {
    if (word.empty()) continue;
    if (!line.empty() && indent + line.size() + 1 + word.size() > width) {
      out += std::string(indent, ' ') + line + "\n";
      line.clear();
    }
    if (!line.empty()) line += ' ';
    line += word;
  }
  return out + std::string(line.empty() ? 0 : indent, ' ') + line + "\n";
}

std::string columns(const std::vector<std::pair<std::string, std::string>>& rows) {
  std::size_t left = 0;
  for (const auto& row : rows) left = std::max(left, std::min(row.first.size(), widest_left));
  const std::size_t indent = left + 4;
  std::string out;
  for (const auto& [name, text] : rows) {
    const std::string right = wrapped(text, indent);
    if (name.size() > left) {
      out += fmt::format("  {}\n{}", name, right);
    } else {
      out += fmt::format("  {:<{}}  {}", name, left, text.empty() ? std::string("\n") : right.substr(indent));
    }
  }
  return out;
}

std::string terminal_text(std::string_view markdown) {
  std::string out;
  bool code = false;
  for (const std::string_view line : split(markdown, '\n')) {
    if (line.starts_with("```")) {
      code = !code;
    } else if (code) {
      out += fmt::format("    {}\n", line);
    } else if (line.starts_with('#')) {
      const auto text = line.find_first_not_of("# ");
      if (text != std::string_view::npos) out += upper(without_marks(line.substr(text))) + "\n";
    } else if (!is_table_rule(line)) {
      out += without_marks(line) + "\n";
    }
  }
  const auto first = out.find_first_not_of('\n');
  if (first == std::string::npos) return {};
  out.erase(0, first);
  out.erase(out.find_last_not_of('\n') + 1);
  return out + "\n";
}

std::string first_paragraph(std::string_view markdown) {
  std::string paragraph;
  for (const std::string_view line : split(markdown, '\n')) {
    const std::string_view text = trim(line);
    if (text.starts_with('#') || (text.empty() && paragraph.empty())) continue;
    if (text.empty()) break;
    if (!paragraph.empty()) paragraph += ' ';
    paragraph += text;
  }
  return without_marks(paragraph);
}

std::string table_cell(std::string_view text) {
  std::string cell;
  for (const char c : text) {
    if (c == '|') cell += '\\';
    cell += c == '\n' ? ' ' : c;
  }
  return cell;
}

}  // namespace seawall::cli::detail
