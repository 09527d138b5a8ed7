// A worker in C++ without any library: dark hair shows on the side that a face turns away from.
//
//     c++ -O2 -std=c++17 -o dark_centre dark_centre.cpp
//
// It speaks the protocol of docs/worker-protocol.md. The method is deliberately crude (yaw only, by
// a round factor that nobody fitted); what it shows is how a program is connected.

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

// Requests are written by hpbench and have a fixed form, so that looking for a key is enough here;
// a larger program would use a JSON library.
static size_t after(const std::string& line, const std::string& key, size_t from) {
    const size_t found = line.find("\"" + key + "\": ", from);
    return found == std::string::npos ? found : found + key.size() + 4;
}

static double number(const std::string& line, const std::string& key, size_t from) {
    return std::strtod(line.c_str() + after(line, key, from), nullptr);
}

static std::string reply(const std::string& line, size_t from, const unsigned char* shared) {
    const long width = number(line, "width", from), height = number(line, "height", from);
    const unsigned char* pixels = shared + long(number(line, "offset", from));
    double box[4];
    const char* text = line.c_str() + after(line, "box_xyxy", from) + 1;
    for (double& side : box) {
        char* end;
        side = std::strtod(text, &end);
        text = end + 1;  // behind the comma
    }
    const long x0 = std::max(0.0, std::ceil(box[0])), y0 = std::max(0.0, std::ceil(box[1]));
    const long x1 = std::min<double>(width, box[2]), y1 = std::min<double>(height, box[3]);
    if (x1 - x0 < 4 || y1 - y0 < 4) return "{\"no_prediction\": \"the face is too small\"}";

    auto light = [&](long x, long y) {
        const unsigned char* rgb = pixels + 3 * (y * width + x);
        return 0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2];
    };
    double mean = 0;
    for (long y = y0; y < y1; ++y)
        for (long x = x0; x < x1; ++x) mean += light(x, y);
    mean /= double((x1 - x0) * (y1 - y0));
    double sum = 0, sum_x = 0;
    for (long y = y0; y < y1; ++y)
        for (long x = x0; x < x1; ++x) {
            const double dark = std::max(0.0, mean - light(x, y));
            sum += dark, sum_x += dark * x;
        }
    if (sum == 0) return "{\"no_prediction\": \"nothing in the box is dark\"}";
    const double beside = (sum_x / sum - (box[0] + box[2]) / 2) / (box[2] - box[0]);
    return "{\"angles_deg\": [" + std::to_string(200 * beside) + ", 0.0, 0.0]}";
}

int main() {
    std::cout << "{\"hpbench_worker\": 1}" << std::endl;
    for (std::string line; std::getline(std::cin, line);) {
        const size_t path = after(line, "pixels", 0) + 1;
        const int file = open(line.substr(path, line.find('"', path) - path).c_str(), O_RDONLY);
        struct stat state;
        if (file < 0 || fstat(file, &state) != 0) {
            std::cerr << "the shared pixels cannot be opened" << std::endl;
            return 1;
        }
        void* shared = mmap(nullptr, state.st_size, PROT_READ, MAP_SHARED, file, 0);
        close(file);
        if (shared == MAP_FAILED) {
            std::cerr << "the shared pixels cannot be mapped" << std::endl;
            return 1;
        }
        std::string replies;
        for (size_t face = after(line, "image_id", 0); face != std::string::npos;
             face = after(line, "image_id", face))
            replies += (replies.empty() ? "" : ", ") + reply(line, face, (unsigned char*)shared);
        munmap(shared, state.st_size);
        std::cout << "{\"request\": " << long(number(line, "request", 0)) << ", \"replies\": ["
                  << replies << "]}" << std::endl;
    }
}
