#include "commands/table.hh"

#include <algorithm>

#include "base/text.hh"

namespace seawall::commands {
namespace {

/// Characters, not bytes: names may hold UTF-8.
std::size_t width(const std::string& text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

std::vector<std::size_t> widths(const Table& table) {
  std::vector<std::size_t> result;
  result.reserve(table.heading.size());
  for (const std::string& title : table.heading) result.push_back(width(title));
  if (!table.rows.empty() && table.rows.front().size() > result.size()) {
    result.back() = 0;
    result.resize(table.rows.front().size());
  }
  for (const auto& row : table.rows) {
    for (std::size_t i = 0; i < row.size(); ++i) result[i] = std::max(result[i], width(row[i]));
  }
  return result;
}

std::string padded(const std::string& text, std::size_t to) { return text + std::string(to - width(text), ' '); }

}  // namespace

void print_columns(const Table& table, std::ostream& out) {
  const std::vector<std::size_t> columns = widths(table);
  const auto print = [&](const std::vector<std::string>& row) {
    for (std::size_t i = 0; i + 1 < row.size(); ++i) out << padded(row[i], columns[i] + 1);
    out << row.back() << '\n';
  };
  print(table.heading);
  for (const auto& row : table.rows) print(row);
}

void print_boxed(const Table& table, std::ostream& out) {
  const std::vector<std::size_t> columns = widths(table);
  const auto rule = [&] {
    out << '+';
    for (const std::size_t column : columns) out << std::string(column + 2, '-') << '+';
    out << '\n';
  };
  const auto print = [&](const std::vector<std::string>& row, bool is_heading) {
    out << '|';
    for (std::size_t i = 0; i < row.size(); ++i) {
      const bool right = !is_heading && i < table.right.size() && table.right[i];
      out << ' ' << std::string(right ? columns[i] - width(row[i]) : 0, ' ')
          << (right ? row[i] : padded(row[i], columns[i])) << " |";
    }
    out << '\n';
  };
  std::vector<std::string> heading;
  heading.reserve(table.heading.size());
  for (const std::string& title : table.heading) heading.push_back(upper(title));
  rule();
  print(heading, true);
  rule();
  for (const auto& row : table.rows) print(row, false);
  rule();
}

std::string indent_json(const std::string& compact) {
  std::string out;
  int depth = 0;
  bool in_string = false;
  const auto new_line = [&] { out.append("\n").append(static_cast<std::size_t>(depth) * 4, ' '); };
  for (std::size_t i = 0; i < compact.size(); ++i) {
    const char c = compact[i];
    if (in_string) {
      out.push_back(c);
      if (c == '\\') {
        out.push_back(compact[++i]);
      } else if (c == '"') {
        in_string = false;
      }
      continue;
    }
    switch (c) {
      case '"':
        in_string = true;
        out.push_back(c);
        break;
      case '{':
      case '[':
        out.push_back(c);
        if (i + 1 < compact.size() && (compact[i + 1] == '}' || compact[i + 1] == ']')) {
          out.push_back(compact[++i]);
          break;
        }
        ++depth;
        new_line();
        break;
      case '}':
      case ']':
        --depth;
        new_line();
        out.push_back(c);
        break;
      case ',':
        out.push_back(c);
        new_line();
        break;
      case ':':
        out.append(": ");
        break;
      default:
        out.push_back(c);
    }
  }
  return out;
}

}  // namespace seawall::commands
