#pragma once

#include <ostream>
#include <string>
#include <vector>

namespace seawall::commands {

/// Rows of texts under a heading, as WAL-G prints lists: one printer for every command.
struct Table {
  std::vector<std::string> heading;
  std::vector<std::vector<std::string>> rows;
  std::vector<bool> right = {};  ///< columns whose entries a box shows at its right edge; empty: none
};

/// Columns padded by blanks to the longest entry + 1; the last one is not padded. Rows may all have more columns than
/// the heading; its last title then widens none.
void print_columns(const Table& table, std::ostream& out);
/// "+---+" borders, headings in upper case.
void print_boxed(const Table& table, std::ostream& out);

/// Compact JSON indented by four blanks, as Go's MarshalIndent.
std::string indent_json(const std::string& compact);

}  // namespace seawall::commands
