#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// Plain text for terminals of 100 columns, made from words and from our manuals' Markdown.
namespace seawall::cli::detail {

/// Broken at blanks so that no line is longer than the width, each line indented; ends with a line feed.
std::string wrapped(std::string_view text, std::size_t indent);

/// Rows "  left   right", the right column aligned and wrapped.
std::string columns(const std::vector<std::pair<std::string, std::string>>& rows);

/// Markdown without its marks: headings in capitals, code indented, tables and lists as they are.
std::string terminal_text(std::string_view markdown);
/// The first paragraph that is no heading, as one line without marks; empty if there is none.
std::string first_paragraph(std::string_view markdown);

/// For a cell of a Markdown table.
std::string table_cell(std::string_view text);

}  // namespace seawall::cli::detail
